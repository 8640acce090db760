//! What ports live through: interfaces that go and come, namespaces that are deleted, links that go down.

use vsw_netns::traffic::{cannot_reach, reaches};
use vsw_netns::{Lab, eventually};

#[test]
fn an_interface_disappears_and_returns() {
    let Some(lab) = Lab::new("an_interface_disappears_and_returns") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    for (n, kind) in [(2, "packet"), (3, "afxdp")] {
        let first = lab.veth("wire", n);
        lab.good(&format!("add-port br0 wire --type {kind}"));
        lab.becomes("wire", "up");
        reaches(&a, n);
        lab.host.ip("link del wire");
        lab.becomes("wire", "down");
        let reason = lab.port("wire")["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("wire"), "{reason}");
        cannot_reach(&a, n);
        drop(first);
        let _second = lab.veth("wire", n);
        lab.becomes("wire", "up");
        // The new interface has another address.
        a.ip("neigh flush all");
        reaches(&a, n);
        lab.good("del-port br0 wire");
        lab.host.ip("link del wire");
    }
}

#[test]
fn a_link_that_goes_down_is_told_and_comes_back() {
    let Some(lab) = Lab::new("a_link_that_goes_down_is_told_and_comes_back") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    for (n, kind) in [(2, "packet"), (3, "afxdp")] {
        let wire = format!("wire{n}");
        let machine = lab.veth(&wire, n);
        lab.good(&format!("add-port br0 {wire} --type {kind}"));
        reaches(&a, n);
        machine.ip(&format!("link set dev {wire} down"));
        lab.becomes(&wire, "down");
        machine.ip(&format!("link set dev {wire} up"));
        machine.ip(&format!("addr replace fd00::{n}/64 dev {wire} nodad"));
        lab.becomes(&wire, "up");
        reaches(&a, n);
    }
}

#[test]
fn a_port_survives_the_loss_of_its_namespace() {
    let Some(lab) = Lab::new("a_port_survives_the_loss_of_its_namespace") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    let b = lab.tap("br0", "b", 2, "--vlan 1");
    reaches(&a, 2);
    b.delete();
    lab.becomes("b", "failed");
    let reason = lab.port("b")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(b.name()), "{reason}");
    assert_eq!(lab.state("a"), "up");
    b.make();
    lab.becomes("b", "up");
    eventually("the interface is there", || b.has("b"));
    b.address("b", 2);
    // Its address is the same: nobody has to ask again.
    reaches(&a, 2);
}
