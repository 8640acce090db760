//! What testpmd says of a port.

use anyhow::{Result, ensure};
use std::ops::Sub;

/// Counters of a NIC since its start. Rx is what it received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub rx_packets: u64,
    /// Bytes without the frame check sequence.
    pub rx_bytes: u64,
    /// Frames that no buffer was there for, or that were wrong.
    pub rx_lost: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
}

impl Stats {
    /// From the answer to `show port stats N`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut stats = Self::default();
        let mut known = 0;
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(value) = pair[1].parse::<u64>() else { continue };
            let field = match pair[0] {
                "RX-packets:" => &mut stats.rx_packets,
                "RX-bytes:" => &mut stats.rx_bytes,
                "RX-missed:" | "RX-errors:" | "RX-nombuf:" => &mut stats.rx_lost,
                "TX-packets:" => &mut stats.tx_packets,
                "TX-bytes:" => &mut stats.tx_bytes,
                _ => continue,
            };
            *field += value;
            known += 1;
        }
        ensure!(known == 7, "no statistics of a port: {text}");
        Ok(stats)
    }
}

impl Sub for Stats {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            rx_packets: self.rx_packets - earlier.rx_packets,
            rx_bytes: self.rx_bytes - earlier.rx_bytes,
            rx_lost: self.rx_lost - earlier.rx_lost,
            tx_packets: self.tx_packets - earlier.tx_packets,
            tx_bytes: self.tx_bytes - earlier.tx_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_read() {
        let text = "
  ######################## NIC statistics for port 0  ########################
  RX-packets: 7          RX-missed: 1          RX-bytes:  420
  RX-errors: 2
  RX-nombuf:  4
  TX-packets: 8          TX-errors: 0          TX-bytes:  480

  Throughput (since last show)
  Rx-pps:            9          Rx-bps:            9
";
        let stats = Stats { rx_packets: 7, rx_bytes: 420, rx_lost: 7, tx_packets: 8, tx_bytes: 480 };
        assert_eq!(Stats::parse(text).unwrap(), stats);
        assert!(Stats::parse("Invalid port 3").is_err());
    }
}
