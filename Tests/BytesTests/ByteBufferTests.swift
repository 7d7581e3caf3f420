import ChimeraBytes
import ChimeraTestSupport
import Testing

@Suite struct `Byte buffers` {
    private static func text(_ buffer: ByteBuffer) -> String {
        String(decoding: buffer.pending, as: UTF8.self)
    }

    /// An array with a read position does the same, and says what must be there.
    @Test(arguments: 0..<40)
    func `a buffer holds what was written and not yet read, however it grows`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let buffer = ByteBuffer(capacity: Int.random(in: 1...32, using: &generator))
        var model: [UInt8] = []
        for step in 0..<400 {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0:
                let bytes = generator.bytes(upTo: 40, from: "abc")
                buffer.append(bytes.span)
                model += bytes
            case 1:
                let byte = UInt8.random(in: 0...255, using: &generator)
                buffer.append(byte)
                model.append(byte)
            case 2:
                let count = Int.random(in: 0...model.count, using: &generator)
                buffer.consume(count)
                model.removeFirst(count)
            case 3:
                let count = Int.random(in: 0...20, using: &generator)
                buffer.reserve(count)
                let room = buffer.writable
                for index in 0..<count { room[index] = UInt8(index) }
                buffer.commit(count)
                model += (0..<count).map { UInt8($0) }
            case 4:
                let count = Int.random(in: 0...model.count, using: &generator)
                buffer.truncate(to: buffer.end - count)
                model.removeLast(count)
            default:
                if Int.random(in: 0..<5, using: &generator) == 0 { buffer.trim() }
                if Int.random(in: 0..<10, using: &generator) == 0 {
                    buffer.clear()
                    model = []
                }
            }
            #expect(Array(buffer.pending) == model, "seed \(seed), step \(step)")
            #expect([UInt8](copying: buffer.readable) == model && buffer.count == model.count)
            #expect(buffer.isEmpty == model.isEmpty && buffer.end <= buffer.capacity)
        }
    }

    @Test func `memory that is not needed can be given back`() {
        let buffer = ByteBuffer(capacity: 1024)
        buffer.trim()
        #expect(buffer.capacity == 16)
        for _ in 0..<10 { buffer.append("sixteen octets: ") }
        buffer.consume(16)
        buffer.trim()
        #expect(buffer.capacity == 144 && Self.text(buffer).hasPrefix("sixteen octets: sixteen"))
    }

    @Test func `what is read gives its room back`() {
        let buffer = ByteBuffer(capacity: 64)
        for _ in 0..<1_000 {
            buffer.append("sixteen octets: ")
            buffer.append("sixteen octets: ")
            buffer.consume(16)
            if buffer.count > 16 { buffer.consume(buffer.count - 16) }
        }
        #expect(buffer.capacity == 64)
        #expect(Self.text(buffer) == "sixteen octets: ")
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 1_234_567_890, Int.max])
    func `a number is written in both bases`(_ number: Int) {
        let buffer = ByteBuffer(capacity: 1)
        buffer.append(decimal: number)
        buffer.append(" ")
        buffer.append(hexadecimal: number)
        #expect(Self.text(buffer) == "\(number) \(String(number, radix: 16))")
    }

    @Test func `texts of all kinds are appended`() {
        let buffer = ByteBuffer(capacity: 1)
        buffer.append("static ")
        buffer.append(string: "ünï")
        #expect(Self.text(buffer) == "static ünï")
    }
}
