//! What a guest goes through, the same over every kind of NIC. [`crate::stories_over`] makes a test of each.

mod benchmark;
mod lifetimes;
mod traffic;

pub use benchmark::pktgen_in_the_guest_is_counted_at_the_other_side;
pub use lifetimes::{
    a_guest_is_killed_in_the_middle_of_traffic, a_nic_is_plugged_into_a_running_guest,
    the_guest_comes_before_its_port, the_port_comes_before_its_guest,
    the_switch_restarts_under_a_running_guest,
};
pub use traffic::{
    a_guest_and_containers_talk_across_vlans, a_vlan_changes_while_traffic_flows, guests_talk_to_each_other,
};

use crate::{Kind, Machine, Nic};
use serde_json::Value;
use vsw_netns::Lab;

/// A guest with one NIC, 10.0.0.1 and fd00::1, and the bridge `br0` for it.
fn machine(lab: &Lab, kind: Kind) -> (Machine, Nic) {
    lab.good("add-br br0");
    let nic = Nic::new(lab, kind, "vm0", 1);
    let words = "vsw.addr=eth0:10.0.0.1/24 vsw.addr=eth0:fd00::1/64";
    (Machine::new("vm", std::slice::from_ref(&nic), words), nic)
}

/// Adds the port of a NIC whose guest does not run yet.
#[track_caller]
fn add_early(lab: &Lab, nic: &Nic, settings: &str) {
    let line = format!("{} {settings}", nic.add_port("br0"));
    let typed = lab.ctl(&line);
    assert!(matches!(typed.status, 0 | 4), "{line}: {typed:?}");
}

/// The number of the configuration; it does not change unless somebody changes something.
fn generation(lab: &Lab) -> Value {
    lab.json("show")["generation"].clone()
}

/// Makes a test of each story, over this kind of NIC.
#[macro_export]
macro_rules! stories_over {
    ($kind:expr) => {
        $crate::stories_over! { $kind =>
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
    };
    ($kind:expr => $($name:ident)*) => {$(
        #[test]
        fn $name() {
            let Some(lab) = $crate::lab(stringify!($name)) else { return };
            $crate::stories::$name(&lab, $kind);
        }
    )*};
}
