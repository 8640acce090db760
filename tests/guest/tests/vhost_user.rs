//! Virtual machines over vhost-user: QEMU listens, the switch connects.

use vsw_guest::{Kind::VhostUser, lab, stories};

macro_rules! stories {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let Some(lab) = lab(stringify!($name)) else { return };
            stories::$name(&lab, VhostUser);
        }
    )*};
}

stories! {
    the_port_comes_before_its_guest
    the_guest_comes_before_its_port
    a_nic_is_plugged_into_a_running_guest
    a_guest_is_killed_in_the_middle_of_traffic
    the_switch_restarts_under_a_running_guest
    a_guest_and_containers_talk_across_vlans
    guests_talk_to_each_other
    a_vlan_changes_while_traffic_flows
    pktgen_in_the_guest_is_counted_at_the_other_side
}
