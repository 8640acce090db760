//! Programs longer than a few lines: instructions by name, and jumps to places that are known later.
//!
//! A value; nothing is shared. Opcodes: `include/uapi/linux/bpf.h`, `bpf_common.h`; meaning: RFC 9669.

use super::Insn;
use super::maps::{Named, Shared};

/// A register. R0 is what calls return, R1 to R5 their arguments (lost in the call), R6 to R9 stay, R10 is the
/// frame pointer.
pub type Reg = u8;

/// Somewhere in a program.
#[derive(Clone, Copy, Debug)]
pub struct Label(usize);

/// Width of a load or store, as the opcode has it.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Width {
    U32 = 0x00,
    U16 = 0x08,
    U8 = 0x10,
    U64 = 0x18,
}

/// A condition on two unsigned numbers, as the opcode has it.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum If {
    Equal = 0x10,
    Greater = 0x20,
    /// They have a bit in common.
    Shares = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
    AtMost = 0xb0,
}

/// A program that is being written.
#[derive(Debug, Default)]
pub struct Asm {
    code: Vec<Insn>,
    /// Jumps, and where to.
    jumps: Vec<(usize, Label)>,
    places: Vec<Option<usize>>,
}

impl Asm {
    fn emit(&mut self, code: u8, dst: Reg, src: Reg, offset: i16, immediate: i32) {
        self.code.push(Insn::new(code, dst, src, offset, immediate));
    }

    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }
    /// The label is here.
    pub fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    /// `dst = n`
    pub fn set(&mut self, dst: Reg, n: i32) {
        self.emit(0xb7, dst, 0, 0, n);
    }
    /// `dst = src`
    pub fn copy(&mut self, dst: Reg, src: Reg) {
        self.emit(0xbf, dst, src, 0, 0);
    }
    /// `dst += n`
    pub fn add(&mut self, dst: Reg, n: i32) {
        self.emit(0x07, dst, 0, 0, n);
    }
    /// `dst += src`
    pub fn add_reg(&mut self, dst: Reg, src: Reg) {
        self.emit(0x0f, dst, src, 0, 0);
    }
    /// `dst -= src`
    pub fn sub_reg(&mut self, dst: Reg, src: Reg) {
        self.emit(0x1f, dst, src, 0, 0);
    }
    /// `dst |= src`
    pub fn or_reg(&mut self, dst: Reg, src: Reg) {
        self.emit(0x4f, dst, src, 0, 0);
    }
    /// `dst &= n`
    pub fn and(&mut self, dst: Reg, n: i32) {
        self.emit(0x57, dst, 0, 0, n);
    }
    /// `dst = src`, the lower 32 bits only.
    pub fn copy_low(&mut self, dst: Reg, src: Reg) {
        self.emit(0xbc, dst, src, 0, 0);
    }
    /// `dst %= n`
    pub fn modulo(&mut self, dst: Reg, n: i32) {
        self.emit(0x97, dst, 0, 0, n);
    }
    /// `dst <<= n`
    pub fn shift_left(&mut self, dst: Reg, n: i32) {
        self.emit(0x67, dst, 0, 0, n);
    }
    /// `dst >>= n`
    pub fn shift_right(&mut self, dst: Reg, n: i32) {
        self.emit(0x77, dst, 0, 0, n);
    }
    /// The lower 32 bits in network byte order.
    pub fn to_be32(&mut self, dst: Reg) {
        self.emit(0xdc, dst, 0, 0, 32);
    }
    /// The lower 16 bits in network byte order, the rest 0.
    pub fn to_be16(&mut self, dst: Reg) {
        self.emit(0xdc, dst, 0, 0, 16);
    }
    /// All 64 bits in network byte order.
    pub fn to_be64(&mut self, dst: Reg) {
        self.emit(0xdc, dst, 0, 0, 64);
    }
    /// `dst = map`
    pub fn map(&mut self, dst: Reg, map: &impl Named) {
        self.code.extend(map.reference(dst));
    }
    /// `dst = &cells`
    pub fn shared(&mut self, dst: Reg, cells: &Shared) {
        self.code.extend(cells.address(dst));
    }
    /// `dst = *(src + offset)`
    pub fn load(&mut self, width: Width, dst: Reg, src: Reg, offset: i16) {
        self.emit(0x61 | width as u8, dst, src, offset, 0);
    }
    /// `*(dst + offset) = src`
    pub fn store(&mut self, width: Width, dst: Reg, offset: i16, src: Reg) {
        self.emit(0x63 | width as u8, dst, src, offset, 0);
    }
    /// `*(dst + offset) = n`
    pub fn store_number(&mut self, width: Width, dst: Reg, offset: i16, n: i32) {
        self.emit(0x62 | width as u8, dst, 0, offset, n);
    }
    /// `*(u64 *)(dst + offset) += src`, atomically.
    pub fn atomic_add(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.emit(0xdb, dst, src, offset, 0);
    }
    /// Calls a helper (`enum bpf_func_id`).
    pub fn call(&mut self, helper: i32) {
        self.emit(0x85, 0, 0, 0, helper);
    }
    /// Ends with the answer in R0.
    pub fn exit(&mut self) {
        self.emit(0x95, 0, 0, 0, 0);
    }

    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(0x05, 0, 0, 0, 0);
    }
    /// Jumps if `a` compares so with the number.
    pub fn jump_if(&mut self, a: Reg, condition: If, n: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(0x05 | condition as u8, a, 0, 0, n);
    }
    /// Jumps if `a` compares so with `b`.
    pub fn jump_if_reg(&mut self, a: Reg, condition: If, b: Reg, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(0x0d | condition as u8, a, b, 0, 0);
    }

    /// The program.
    ///
    /// # Panics
    /// When a label was not placed.
    pub fn finish(mut self) -> Vec<Insn> {
        for (at, label) in self.jumps {
            let to = self.places[label.0].expect("every label that is jumped to is placed");
            self.code[at].offset = (to as isize - at as isize - 1) as i16;
        }
        self.code
    }
}
