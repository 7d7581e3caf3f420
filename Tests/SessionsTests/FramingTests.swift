import ChimeraBytes
import ChimeraSessions
import ChimeraWebSocket
import Testing

/// What the messages of a client would be.
private func messages(
    _ framing: Framing, _ pieces: [[UInt8]]
) -> [(kind: MessageKind, text: [UInt8])] {
    var output = ProgramOutput(framing)
    var encoder = MessageEncoder(.server)
    let frames = ByteBuffer(capacity: 64)
    for piece in pieces { output.take(piece.span, &encoder, to: frames) }
    output.end(&encoder, to: frames)
    var decoder = MessageDecoder(
        .server, limits: MessageLimits(frameBytesMax: 1 << 24, messageBytesMax: 1 << 24))
    let inflated = ByteBuffer(capacity: 16)
    var found: [(kind: MessageKind, text: [UInt8])] = []
    while case .data(let part) = decoder.next(frames, inflated: inflated) {
        if part.isFirst { found.append((part.kind, [])) }
        found[found.count - 1].text += Array(copying: frames.readable.extracting(first: part.count))
        frames.consume(part.count)
    }
    let isIdle = frames.isEmpty && decoder.isIdle
    #expect(isIdle)
    return found
}

private func texts(_ pieces: [String]) -> [String] {
    messages(.lines, pieces.map { Array($0.utf8) }).map { String(decoding: $0.text, as: UTF8.self) }
}

@Suite struct FramingTests {
    @Test(arguments: [
        (["one\ntwo\n"], ["one", "two"]),
        (["one\r\ntwo\n"], ["one", "two"]),
        (["o", "ne", "\n", "\n", "two"], ["one", "", "two"]),
        (["one\r", "\n"], ["one"]),
        (["grü", "ße\n"], ["grüße"]),
        ([""], []),
    ])
    func `a line is a message, however it was cut`(_ pieces: [String], _ expected: [String]) {
        #expect(texts(pieces) == expected)
        let bytes = pieces.flatMap { Array($0.utf8) }
        let single = messages(.lines, bytes.map { [$0] }).map { String(decoding: $0.text, as: UTF8.self) }
        #expect(single == expected)
    }

    @Test func `what is no UTF-8 is replaced`() {
        let found = messages(.lines, [[0x61, 0xFF, 0x62, 0x0A]])
        #expect(found.map(\.text) == [Array("a\u{FFFD}b".utf8)])
    }

    @Test(arguments: [1, 7, 4096, 40_000])
    func `a long line is one message whose characters stay whole`(_ size: Int) {
        let line = String(repeating: "aé€😀", count: 20_000)
        let bytes = Array(line.utf8) + [0x0A] + Array("next\n".utf8)
        let pieces = stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min($0 + size, bytes.count)])
        }
        let found = messages(.lines, pieces)
        #expect(found.map(\.text) == [Array(line.utf8), Array("next".utf8)])
        #expect(found.allSatisfy { $0.kind == .text })
    }

    @Test func `a line that is sent in parts gives way to another message`() {
        var output = ProgramOutput(.lines)
        var encoder = MessageEncoder(.server)
        let frames = ByteBuffer(capacity: 64)
        let long = [UInt8](repeating: 0x61, count: ProgramOutput.lineOctetsHeld)
        output.take(long.span, &encoder, to: frames)
        let before = encoder.isInMessage
        output.breakOff(&encoder, to: frames)
        let behind = encoder.isInMessage
        output.take([0x62, 0x0A].span, &encoder, to: frames)
        let atEnd = encoder.isInMessage
        #expect(before && !behind && !atEnd)
    }

    @Test(arguments: [1, 3, 1000])
    func `a length stands before a message`(_ size: Int) {
        let payload = (0..<500).map { UInt8(truncatingIfNeeded: $0) }
        let bytes = [0, 0, 0, 0] + [0, 0, 1, 0xF4] + payload + [0, 0, 0, 1, 9]
        let pieces = stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min($0 + size, bytes.count)]).map { UInt8($0) }
        }
        let found = messages(.length, pieces)
        #expect(found.map(\.text) == [[], payload, [9]])
        #expect(found.allSatisfy { $0.kind == .binary })
    }

    @Test(arguments: [1, 3, 1000])
    func `a type stands before a length`(_ size: Int) {
        let text = Array("grüße 😀".utf8)
        let payload = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        var bytes: [UInt8] = [0x74, 0, 0, 0, UInt8(text.count)] + text
        bytes += [0x62, 0, 0, 1, 0x2C] + payload + [0x74, 0, 0, 0, 0] + [0x74, 0, 0, 0, 2, 0x61, 0xFF]
        let pieces = stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min($0 + size, bytes.count)])
        }
        let found = messages(.typed, pieces)
        // What is no UTF-8 is replaced, as it is in lines.
        #expect(found.map(\.text) == [text, payload, [], Array("a\u{FFFD}".utf8)])
        #expect(found.map(\.kind) == [.text, .binary, .text, .text])
    }

    @Test func `raw bytes are binary messages as they were read`() {
        let found = messages(.raw, [[1, 2], [3]])
        #expect(found.map(\.text) == [[1, 2], [3]])
    }

    @Test(arguments: [
        (Framing.lines, Array("abc\n".utf8)), (.raw, Array("abc".utf8)),
        (.length, [0, 0, 0, 3] + Array("abc".utf8)),
        (.typed, [0x74, 0, 0, 0, 3] + Array("abc".utf8)),
    ])
    func `a message in parts is what the program reads`(_ framing: Framing, _ expected: [UInt8]) {
        var input = ProgramInput(framing)
        let output = ByteBuffer(capacity: 16)
        input.take(Array("ab".utf8).span, of: .text, isLast: false, to: output)
        input.take(Array("c".utf8).span, of: .text, isLast: true, to: output)
        #expect(Array(copying: output.readable) == expected)
    }
}
