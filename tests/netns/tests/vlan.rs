//! VLANs as users meet them: machines kept apart, trunks between hosts, a provider's tag around all.

use vsw_netns::traffic::{addresses, cannot_reach, reaches, transfer};
use vsw_netns::{Lab, Namespace, Sniffer};

#[test]
fn vlans_are_apart_and_a_trunk_carries_them_tagged() {
    let Some(lab) = Lab::new("vlans_are_apart_and_a_trunk_carries_them_tagged") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "--vlan 10");
    let _b = lab.tap("br0", "b", 2, "--vlan 10");
    let c = lab.tap("br0", "c", 3, "--vlan 20");
    let trunk = lab.tap("br0", "trunk", 4, "--trunk 10,20");
    let native = lab.tap("br0", "native", 5, "--trunk 20 --native 10");
    let tagged = lab.tap("br0", "tagged", 6, "--trunk 20 --native 10 --native-tagged");
    reaches(&a, 2);
    reaches(&a, 5);
    cannot_reach(&a, 3);
    cannot_reach(&c, 1);
    // Its untagged frames have no VLAN.
    cannot_reach(&trunk, 1);
    assert!(lab.dropped("trunk", "no-native-vlan") > 0);

    let at_trunk = Sniffer::new(&trunk, "trunk", "arp");
    let at_native = Sniffer::new(&native, "native", "arp");
    let at_tagged = Sniffer::new(&tagged, "tagged", "arp");
    for machine in [&a, &c] {
        machine.typed("ping -q -c 1 -W 1 10.0.0.99");
    }
    at_trunk.hears(&["vlan 10,", "who-has 10.0.0.99 tell 10.0.0.1"]);
    at_trunk.hears(&["vlan 20,", "who-has 10.0.0.99 tell 10.0.0.3"]);
    at_native.hears(&["ethertype ARP (0x0806)", "length 42:", "who-has 10.0.0.99 tell 10.0.0.1"]);
    at_native.hears(&["vlan 20,", "who-has 10.0.0.99 tell 10.0.0.3"]);
    at_tagged.hears(&["vlan 10,", "who-has 10.0.0.99 tell 10.0.0.1"]);
}

#[test]
fn the_host_itself_has_an_address_on_the_bridge() {
    let Some(lab) = Lab::new("the_host_itself_has_an_address_on_the_bridge") else { return };
    lab.good("add-br br0");
    lab.good("add-port br0 br0 --type internal --vlan 10");
    lab.host.address("br0", 1);
    let a = lab.tap("br0", "a", 2, "--vlan 10");
    let b = lab.tap("br0", "b", 3, "--vlan 20");
    reaches(&a, 1);
    reaches(&lab.host, 2);
    cannot_reach(&b, 1);
    for to in addresses(1) {
        transfer(&a, &lab.host, to, 4 << 20);
    }
    lab.good("del-br br0");
    assert!(!lab.host.has("br0"));
}

#[test]
fn a_trunk_joins_the_switches_of_two_hosts() {
    let Some(first) = Lab::new("a_trunk_joins_the_switches_of_two_hosts") else { return };
    let Some(second) = Lab::new("a_trunk_joins_the_switches_of_two_hosts") else { return };
    for lab in [&first, &second] {
        lab.good("add-br br0");
    }
    wire(&first, "--trunk 10,20", &second, "--trunk 10,20");
    let a = first.tap("br0", "a", 1, "--vlan 10");
    let b = first.tap("br0", "b", 2, "--vlan 20");
    let c = second.tap("br0", "c", 3, "--vlan 10");
    let d = second.tap("br0", "d", 4, "--vlan 20");
    reaches(&a, 3);
    reaches(&b, 4);
    cannot_reach(&a, 4);
    cannot_reach(&b, 3);
    for to in addresses(3) {
        transfer(&a, &c, to, 4 << 20);
    }
    transfer(&d, &b, addresses(2)[0], 4 << 20);
}

#[test]
fn a_provider_carries_a_customers_vlans_in_its_own() {
    let test = "a_provider_carries_a_customers_vlans_in_its_own";
    let Some(provider) = Lab::new(test) else { return };
    let Some(east) = Lab::new(test) else { return };
    provider.good("add-br br0");
    east.good("add-br br0");
    wire(&provider, "--qinq 100", &east, "--trunk 10,20");
    let a = east.tap("br0", "a", 1, "--vlan 10");
    let core = provider.tap("br0", "core", 9, "--trunk 100");
    let sniffer = Sniffer::new(&core, "core", "");
    a.typed("ping -q -c 1 -W 1 10.0.0.99");
    sniffer.hears(&["0x88a8", "vlan 100,", "vlan 10,", "who-has 10.0.0.99"]);

    let Some(west) = Lab::new(test) else { return };
    west.good("add-br br0");
    let uplink = Namespace::name(&west.host).to_owned();
    provider.good(&format!("add-port br0 west --netns {uplink} --ifname uplink --qinq 100 --cvlans 10"));
    west.good("add-port br0 uplink --type packet --trunk 10,20");
    let b = west.tap("br0", "b", 2, "--vlan 10");
    reaches(&a, 2);
    transfer(&a, &b, addresses(2)[0], 4 << 20);
    // Customer VLAN 20 is not carried to the west.
    east.good("set-port br0 a --vlan 20");
    west.good("set-port br0 b --vlan 20");
    cannot_reach(&a, 2);
    assert!(provider.dropped("west", "cvlan-not-allowed") > 0);
}

/// A wire between two hosts: an interface that the first switch makes on the second host, and the second
/// attaches.
fn wire(first: &Lab, settings: &str, second: &Lab, other_settings: &str) {
    first.good(&format!("add-port br0 uplink --netns {} {settings}", second.host.name()));
    second.good(&format!("add-port br0 uplink --type packet {other_settings}"));
}
