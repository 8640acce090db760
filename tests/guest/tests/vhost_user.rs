//! Virtual machines over vhost-user: QEMU listens, the switch connects.

use vsw_guest::Kind::VhostUser;

vsw_guest::stories_over!(VhostUser);
