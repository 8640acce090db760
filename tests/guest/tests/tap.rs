//! Virtual machines on TAPs: QEMU makes the TAP, the switch attaches it by its name.

use std::path::Path;
use vsw_guest::traffic::reaches;
use vsw_guest::{Kind::Tap, Machine, Nic, lab};

vsw_guest::stories_over!(Tap);

/// One QEMU line, and nothing typed.
#[test]
fn the_scripts_for_qemu_do_it_all() {
    let Some(lab) = lab("the_scripts_for_qemu_do_it_all") else { return };
    lab.good("add-br br1");
    let _a = lab.tap("br1", "a", 2, "--vlan 10");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib");
    let mut nic = Nic::new(&lab, Tap, "tap0", 1);
    nic.scripts = ["qemu-ifup", "qemu-ifdown"].map(|s| scripts.join(s));
    let mut machine = Machine::new("vm", &[nic], "vsw.addr=eth0:10.0.0.1/24");
    machine.environment = vec![("VSW_BRIDGE", "br1".into()), ("VSW_PORT", "--vlan 10".into())];
    let guest = machine.boot(&lab);
    assert_eq!((lab.state("tap0"), lab.port("tap0")["vlan"].clone()), ("up".into(), 10.into()));
    reaches(&guest, "10.0.0.2");
    guest.shut_down();
    assert_eq!(lab.state("tap0"), "absent");

    // What is typed by hand stays as it is; and so it does when QEMU has no time to run its script.
    lab.bad("add-port br1 tap0 --vlan 20", 4, &["no interface tap0"]);
    machine.environment.pop();
    let guest = machine.boot(&lab);
    assert_eq!((lab.state("tap0"), lab.port("tap0")["vlan"].clone()), ("up".into(), 20.into()));
    guest.kill();
    lab.becomes("tap0", "down");
}
