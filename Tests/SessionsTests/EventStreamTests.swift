import ChimeraBytes
import ChimeraSessions
import Testing

/// What a client makes of a stream, as WHATWG HTML §9.2.6 has it: the type and the data of each event.
private func events(_ bytes: [UInt8]) -> [[String]] {
    var found: [[String]] = []
    var (type, data) = ("message", [String]())
    let text = String(decoding: bytes, as: UTF8.self)
    for line in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false) {
        #expect(!line.contains("\r"))
        let line = String(String.UnicodeScalarView(line))
        if line.isEmpty {
            if !data.isEmpty { found.append([type, data.joined(separator: "\n")]) }
            (type, data) = ("message", [])
        } else if line.hasPrefix("event: ") {
            type = String(line.dropFirst(7))
        } else if line.hasPrefix("data: ") {
            data.append(String(line.dropFirst(6)))
        } else {
            #expect(line.hasPrefix(":"))
        }
    }
    return found
}

private func stream(_ pieces: [[UInt8]], named name: StaticString? = nil) -> [[String]] {
    var stream = EventStream(named: name)
    let output = ByteBuffer(capacity: 64)
    for piece in pieces { stream.take(piece.span, to: output) }
    stream.end(to: output)
    return events(Array(copying: output.readable))
}

@Suite struct EventStreamTests {
    @Test(arguments: [
        ("one\ntwo\n", ["one", "two"]), ("one\r\n\r\ntwo", ["one", "", "two"]), ("", []), ("\n", [""]),
        ("10%\r20%\rdone\n", ["10%\n20%\ndone"]), ("grüße 😀\nlast", ["grüße 😀", "last"]), ("a\r", ["a\n"]),
        ("data: x\nevent: y\n: z\n", ["data: x", "event: y", ": z"]),
    ])
    func `a line is an event, however it was cut`(_ text: String, _ expected: [String]) {
        let bytes = Array(text.utf8)
        let wanted = expected.map { ["message", $0] }
        #expect(stream([bytes]) == wanted)
        #expect(stream(bytes.map { [$0] }) == wanted)
        for size in [2, 3, 5] {
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                Array(bytes[$0..<min($0 + size, bytes.count)])
            }
            #expect(stream(pieces) == wanted)
        }
    }

    @Test func `what is no UTF-8 is replaced`() {
        #expect(stream([[0x61, 0xFF, 0x62, 0x0A]]) == [["message", "a\u{FFFD}b"]])
        #expect(stream([[0xE2, 0x82], [0x0A]]) == [["message", "\u{FFFD}"]])
    }

    @Test func `events can have a type`() {
        #expect(
            stream([Array("oops\nagain\n".utf8)], named: "stderr") == [
                ["stderr", "oops"], ["stderr", "again"],
            ])
    }

    @Test func `an event that has begun can be ended for another`() {
        var one = EventStream()
        var other = EventStream(named: "stderr")
        let output = ByteBuffer(capacity: 64)
        one.take(Array("half".utf8).span, to: output)
        let began = one.isInLine
        one.breakOff(to: output)
        other.take(Array("oops\n".utf8).span, to: output)
        one.take(Array("rest\n".utf8).span, to: output)
        let ended = one.isInLine
        #expect(began && !ended)
        #expect(
            events(Array(copying: output.readable))
                == [["message", "half"], ["stderr", "oops"], ["message", "rest"]])
    }

    @Test(arguments: [
        (ProgramEnd.exited(3), "{\"status\":3}"), (.signalled(9), "{\"signal\":9}"), (.unknown, "{}"),
    ])
    func `the last event tells the end`(_ end: ProgramEnd, _ expected: String) {
        let output = ByteBuffer(capacity: 64)
        EventStream.appendComment(to: output)
        EventStream.appendExit(end, to: output)
        #expect(events(Array(copying: output.readable)) == [["exit", expected]])
    }
}
