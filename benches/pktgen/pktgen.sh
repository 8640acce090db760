#!/bin/sh
# Sends UDP frames out of an interface, and so into a port of the switch, with the kernel's packet generator.
#
# What is written where: Linux 6.1, Documentation/networking/pktgen.rst and net/core/pktgen.c. The kernel takes one
# command in one write, ended by a newline. Some wrong commands it takes without an error, and says so only in the
# "Result:" of the file; so that is read after each.
set -eu

PKTGEN_DIR=${PKTGEN_DIR:-/proc/net/pktgen}

usage() {
    cat <<EOF
usage: pktgen.sh -i IFACE -m DST_MAC [options]
  -i IFACE    interface that sends: the other end of a switch port
  -m DST_MAC  destination; one that the switch does not know is flooded
  -d DST_IP   destination IPv4 address                                   ($dst_ip)
  -s SIZE     64 to 9018 bytes with FCS, or imix (64, 594, 1518 as 7:4:1)  ($size)
  -n COUNT    frames per thread; 0: without end, for -T seconds          ($count)
  -T SECONDS  how long without -n                                        (10)
  -t CPUS     a thread on each of these, such as 0-1,3                   ($threads)
  -r RATE     frames per second and thread                               (as many as possible)
  -f FLOWS    stations per thread that send, in random order             (1, the interface's own MAC)
  -D COUNT    stations that receive, from DST_MAC upwards                ($stations)
  -v VLAN     VLAN tag, 0 to 4094; adds 4 bytes to SIZE                  (none)
  -p PRIO     priority in that tag, 0 to 7                               ($prio)
  -b BURST    send each frame so often; not on veth and TAP              ($burst)
  -q          through the queueing discipline (queue_xmit)               (straight into the driver)
Ctrl-C ends a run and shows its result. One run at a time in a network namespace.
EOF
}

die() {
    echo "pktgen.sh: $*" >&2
    exit 1
}

# number OPTION VALUE LEAST MOST
number() {
    case $2 in
        '' | *[!0-9]* | 0?* | ???????????*) die "$1 $2: not a number from $3 to $4" ;;
    esac
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then die "$1 $2: not from $3 to $4"; fi
}

ipv4() {
    case $1 in .* | *. | *[!0-9.]*) die "-d $1: not an IPv4 address" ;; esac
    # shellcheck disable=SC2046 # split on purpose
    set -- "$1" $(echo "$1" | tr . ' ')
    [ $# -eq 5 ] || die "-d $1: not an IPv4 address"
    for part in "$2" "$3" "$4" "$5"; do number "-d $1:" "$part" 0 255; done
}

mac() {
    x='[0-9a-fA-F][0-9a-fA-F]'
    # shellcheck disable=SC2254 # a pattern on purpose
    case $1 in
        $x:$x:$x:$x:$x:$x) ;;
        *) die "-m $1: not a MAC address such as 02:00:00:00:00:01" ;;
    esac
}

# put FILE COMMAND: appends, which is the same to the kernel; in a plain directory every command stays to be seen.
put() {
    { echo "$2" >>"$PKTGEN_DIR/$1"; } 2>/dev/null
}

# configure DEVICE COMMAND [ARGUMENT..]
configure() {
    device=$1
    shift
    if put "$device" "$*" && grep -q '^Result: OK' "$PKTGEN_DIR/$device"; then return; fi
    case $1 in
        burst) die "$device cannot send a frame more than once (veth and TAP cannot); leave -b out" ;;
        imix_weights) die "$device: the kernel refuses \"$*\"; imix needs Linux 5.15" ;;
        *) die "$device: the kernel refuses \"$*\": $(sed -n 's/^Result: //p' "$PKTGEN_DIR/$device")" ;;
    esac
}

iface='' dst_mac='' dst_ip=198.18.0.2 size=64 count=0 seconds='' threads=0 rate='' flows=1 stations=1 vlan='' prio=0
burst=1 mode=start_xmit
while getopts :i:m:d:s:n:T:t:r:f:D:v:p:b:qh option; do
    case $option in
        i) iface=$OPTARG ;;
        m) dst_mac=$OPTARG ;;
        d) dst_ip=$OPTARG ;;
        s) size=$OPTARG ;;
        n) count=$OPTARG ;;
        T) seconds=$OPTARG ;;
        t) threads=$OPTARG ;;
        r) rate=$OPTARG ;;
        f) flows=$OPTARG ;;
        D) stations=$OPTARG ;;
        v) vlan=$OPTARG ;;
        p) prio=$OPTARG ;;
        b) burst=$OPTARG ;;
        q) mode=queue_xmit ;;
        h) usage && exit ;;
        :) die "-$OPTARG needs a value; -h shows the options" ;;
        *) die "there is no option -$OPTARG; -h shows the options" ;;
    esac
done
shift $((OPTIND - 1))

[ $# -eq 0 ] || die "$1: what is this? -h shows the options"
[ -n "$iface" ] || die "-i IFACE is missing; -h shows the options"
[ -n "$dst_mac" ] || die "-m DST_MAC is missing; -h shows the options"
mac "$dst_mac"
ipv4 "$dst_ip"
[ "$size" = imix ] || number -s "$size" 64 9018
number -n "$count" 0 9999999999
[ -z "$seconds" ] || number -T "$seconds" 1 86400
[ -z "$seconds" ] || [ "$count" -eq 0 ] || die "-T is for runs without end; with -n COUNT leave it out"
[ -z "$rate" ] || number -r "$rate" 1 1000000000
number -f "$flows" 1 16777216
number -D "$stations" 1 16777216
[ -z "$vlan" ] || number -v "$vlan" 0 4094
number -p "$prio" 0 7
[ "$prio" -eq 0 ] || [ -n "$vlan" ] || die "-p is a part of the VLAN tag; give -v VLAN too"
number -b "$burst" 1 1024
[ "$burst" -eq 1 ] || [ $mode = start_xmit ] || die "-b and -q exclude each other"
# The kernel pauses after a burst, not after a frame.
[ -z "$rate" ] || [ $((rate % burst)) -eq 0 ] || die "-r $rate: not a multiple of -b $burst"
cpus=''
for range in $(echo "$threads" | tr , ' '); do
    number -t "${range%%-*}" 0 65535
    number -t "${range#*-}" 0 65535
    cpus="$cpus $(seq "${range%%-*}" "${range#*-}")"
done
# shellcheck disable=SC2086 # split on purpose
cpus=$(printf '%s\n' $cpus | sort -nu)
[ -n "$cpus" ] || die "-t $threads: no CPU in this list; 0-1,3 is one"

[ -e "$PKTGEN_DIR/pgctrl" ] || die "no $PKTGEN_DIR/pgctrl: load the module with: modprobe pktgen"
[ -w "$PKTGEN_DIR/pgctrl" ] || die "$PKTGEN_DIR/pgctrl is not writable: run this as root"
sed 's/^ *//; s/:.*//' /proc/net/dev | grep -qxF -e "$iface" || die "there is no interface $iface here; ip link shows all"
for cpu in $cpus; do
    [ -e "$PKTGEN_DIR/kpktgend_$cpu" ] || die "-t $threads: there is no CPU $cpu"
done

# What a thread sends. pktgen's sizes are without the four bytes of FCS, and with the tag.
describe() {
    configure "$1" count "$count"
    configure "$1" clone_skb 0
    extra=$((${vlan:+4} - 4))
    if [ "$size" = imix ]; then
        configure "$1" imix_weights "$((64 + extra)),7 $((594 + extra)),4 $((1518 + extra)),1"
    else
        configure "$1" pkt_size $((size + extra))
    fi
    configure "$1" dst_mac "$dst_mac"
    configure "$1" dst_min "$dst_ip"
    if [ -n "$vlan" ]; then
        configure "$1" vlan_id "$vlan"
        configure "$1" vlan_p "$prio"
    fi
    if [ "$flows" -gt 1 ]; then
        # Counted up from here, in the lower three bytes; every thread has stations of its own.
        configure "$1" src_mac "$(printf '02:%02x:%02x:00:00:00' $(($2 / 256)) $(($2 % 256)))"
        configure "$1" src_mac_count "$flows"
        configure "$1" flag MACSRC_RND
    fi
    if [ "$stations" -gt 1 ]; then
        configure "$1" dst_mac_count "$stations"
        configure "$1" flag MACDST_RND
    fi
    configure "$1" flag NO_TIMESTAMP
    configure "$1" flag QUEUE_MAP_CPU
    configure "$1" xmit_mode $mode
    [ "$burst" -eq 1 ] || configure "$1" burst "$burst"
    [ -z "$rate" ] || configure "$1" ratep $((rate / burst))
}

# shellcheck disable=SC2317 # reached by the trap
cleanup() {
    for cpu in $cpus; do put "kpktgend_$cpu" rem_device_all || :; done
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

put pgctrl reset || die "the kernel refuses \"reset\": run this as root"
for cpu in $cpus; do
    put "kpktgend_$cpu" "add_device $iface@$cpu" || die "the kernel does not take $iface: it must be up, and Ethernet"
    describe "$iface@$cpu" "$cpu"
done

# "start" returns when the last thread has ended, so it waits in the background. A signal ends the run, not the script.
interrupted=''
trap 'interrupted=130' INT TERM HUP
put pgctrl start &
starter=$!
if [ "$count" -eq 0 ]; then
    sleep "${seconds:-10}" &
    wait $! || kill $! 2>/dev/null || :
else
    wait $starter || :
fi
if [ "$count" -eq 0 ] || [ -n "$interrupted" ]; then
    put pgctrl stop || die "the kernel refuses \"stop\""
fi
wait $starter || :

set --
for cpu in $cpus; do set -- "$@" "$PKTGEN_DIR/$iface@$cpu"; done
awk '
    function row(name, pps, sent, errors) {
        printf "%-20s %12.0f pps %14.0f sent %10.0f errors\n", name, pps, sent, errors
    }
    /pkts-sofar:/ { sent = $2; errors = $4 }
    /^Result: / && !/^Result: OK/ { bad = FILENAME ": " $0; exit }
    /^ *[0-9]+pps / {
        pps = $1 + 0
        name = FILENAME
        sub(/.*\//, "", name)
        row(name, pps, sent, errors)
        all_pps += pps; all_sent += sent; all_errors += errors; ended++
    }
    END {
        if (bad == "" && ended < ARGC - 1) bad = "a thread has no result"
        if (bad == "" && all_sent == 0) bad = "nothing was sent: has the interface a carrier?"
        if (bad != "") { print "pktgen.sh: " bad > "/dev/stderr"; exit 1 }
        row("sum", all_pps, all_sent, all_errors)
    }' "$@"
exit "${interrupted:-0}"
