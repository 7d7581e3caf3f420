import ChimeraBytes
import ChimeraTestSupport
import Testing

@Suite struct `Numbers` {
    @Test(
        arguments: [
            ("0", 0), ("7", 7), ("007", 7), ("4294967296", 4_294_967_296), ("18446744073709551615", .max),
            ("18446744073709551616", nil), ("99999999999999999999", nil), ("", nil), ("+1", nil), ("-1", nil),
            ("1 ", nil), ("0x1", nil), ("1.0", nil), ("١", nil),
        ] as [(String, UInt64?)])
    func `base ten is digits and nothing else`(_ text: String, _ value: UInt64?) {
        let bytes = Array(text.utf8)
        #expect(UInt64(decimal: bytes.span) == value)
    }

    @Test(
        arguments: [
            ("0", 0), ("fF", 255), ("0000000000000000000A", 10), ("ffffffffffffffff", .max),
            ("10000000000000000", nil), ("", nil), ("0x1", nil), ("g", nil), ("-1", nil),
        ] as [(String, UInt64?)])
    func `base sixteen is digits and nothing else`(_ text: String, _ value: UInt64?) {
        let bytes = Array(text.utf8)
        #expect(UInt64(hexadecimal: bytes.span) == value)
    }

    @Test func `a smaller type overflows sooner`() {
        let bytes = Array("256".utf8)
        #expect(UInt8(decimal: bytes.span) == nil)
        #expect(UInt16(decimal: bytes.span) == 256)
        let minimum = Array("9223372036854775808".utf8)
        #expect(Int(decimal: minimum.span) == nil)
        #expect(Int8(hexadecimal: bytes.span) == nil)
    }

    @Test func `what is written is what the standard library writes`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var values: [UInt64] = [0, 9, 10, 15, 16, 99, 100, 255, 256, .max]
        for bits in 0..<64 { values.append(UInt64.random(in: 0...UInt64.max, using: &generator) >> bits) }
        for value in values {
            let decimal = Array(String(value).utf8)
            let hexadecimal = Array(String(value, radix: 16).utf8)
            #expect(value.decimalDigits == decimal.count, "seed \(seed)")
            #expect(value.hexadecimalDigits == hexadecimal.count, "seed \(seed)")
            var appended = [UInt8](), hex = [UInt8]()
            appended.append(addingCapacity: decimal.count) { output in _ = output.append(decimal: value) }
            hex.append(addingCapacity: hexadecimal.count) { output in _ = output.append(hexadecimal: value) }
            #expect(appended == decimal, "seed \(seed)")
            #expect(hex == hexadecimal, "seed \(seed)")
            #expect(written { $0.write(decimal: value, at: 3) } == [0, 0, 0] + decimal, "seed \(seed)")
            #expect(
                written { $0.write(hexadecimal: value, at: 3) } == [0, 0, 0] + hexadecimal, "seed \(seed)")
            #expect(UInt64(decimal: decimal.span) == value, "seed \(seed)")
            #expect(UInt64(hexadecimal: hexadecimal.span) == value, "seed \(seed)")
        }
    }

    /// What is written at 3, and the three octets before it.
    private func written(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 40)
        let count = buffer.withUnsafeMutableBytes(body)
        return Array(buffer.prefix(3 + count))
    }

    @Test(arguments: [(0, 2), (38, 2), (40, 0), (41, 0), (-1, 0), (39, 0)])
    func `a number that does not fit is not written`(_ offset: Int, _ length: Int) {
        var buffer = [UInt8](repeating: 1, count: 40)
        buffer.withUnsafeMutableBytes { bytes in
            #expect(bytes.write(decimal: 42, at: offset) == length)
            #expect(bytes.write(hexadecimal: 0x2A, at: offset) == length)
        }
        #expect(buffer.filter { $0 == 1 }.count == 40 - length)
    }
}
