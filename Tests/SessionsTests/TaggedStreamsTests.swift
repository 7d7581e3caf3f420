import ChimeraBytes
import ChimeraSessions
import ChimeraWebSocket
import Testing

@Suite struct TaggedStreamsTests {
    private func wish(_ text: String) -> TaggedStreams.Wish? {
        var streams = TaggedStreams(signals: [2, 15])
        return streams.take(Array(text.utf8).span, isLast: true)
    }

    @Test(arguments: [
        (#"{"type":"stdin","data":"grüße\n"}"#, TaggedStreams.Wish.input(Array("grüße\n".utf8))),
        (#"{"type":"stdin","base64":"AP8="}"#, .input([0, 255])),
        (#"{"type":"stdin","data":"","more":[1]}"#, .input([])),
        (#"{"type":"eof"}"#, .endOfInput),
        (#"{"type":"signal","signal":"INT"}"#, .signal(2)),
        (#"{"type":"resize","columns":80,"rows":24}"#, .resize(columns: 80, rows: 24)),
    ])
    func `a message says what the client wants`(_ text: String, _ expected: TaggedStreams.Wish) {
        #expect(wish(text) == expected)
    }

    @Test(arguments: [
        "", "{", "[]", "null", #"{"type":1}"#, #"{"type":"stdin"}"#, #"{"type":"stdin","base64":"!"}"#,
        #"{"type":"signal"}"#, #"{"type":"resize","columns":0,"rows":1}"#,
    ])
    func `what is no message is malformed`(_ text: String) {
        #expect(wish(text) == .malformed)
    }

    @Test(arguments: [
        #"{"type":"signal","signal":"KILL"}"#, #"{"type":"signal","signal":"HUP"}"#, #"{"type":"dance"}"#,
    ])
    func `what is not done is refused`(_ text: String) {
        guard case .refused = wish(text) else {
            Issue.record("\(text) was not refused")
            return
        }
    }

    @Test func `a message in parts is the same`() {
        var streams = TaggedStreams(signals: [])
        let bytes = Array(#"{"type":"stdin","data":"abc"}"#.utf8)
        for byte in bytes.dropLast() { #expect(streams.take([byte].span, isLast: false) == nil) }
        #expect(streams.take([bytes[bytes.count - 1]].span, isLast: true) == .input(Array("abc".utf8)))
        #expect(streams.take(Array(#"{"type":"eof"}"#.utf8).span, isLast: true) == .endOfInput)
    }

    private func messages(_ body: (inout TaggedStreams, inout MessageEncoder, ByteBuffer) -> Void) -> [String]
    {
        var streams = TaggedStreams(signals: [])
        var encoder = MessageEncoder(.server)
        let frames = ByteBuffer(capacity: 64)
        body(&streams, &encoder, frames)
        var decoder = MessageDecoder(.server, limits: MessageLimits())
        let inflated = ByteBuffer(capacity: 16)
        var found: [String] = []
        while case .data(let part) = decoder.next(frames, inflated: inflated) {
            found.append(
                String(decoding: Array(copying: frames.readable.extracting(first: part.count)), as: UTF8.self)
            )
            frames.consume(part.count)
        }
        return found
    }

    @Test func `no character is cut, and what is none is base 64`() {
        let found = messages { streams, encoder, frames in
            streams.output(.stdout, [0x61, 0xC3].span, &encoder, to: frames)
            streams.output(.stderr, Array("\"\n".utf8).span, &encoder, to: frames)
            streams.output(.stdout, [0xA9, 0x0A].span, &encoder, to: frames)
            streams.output(.stdout, [0xFF, 0x41].span, &encoder, to: frames)
            streams.output(.stdout, [0xE2].span, &encoder, to: frames)
            streams.end(.stdout, &encoder, to: frames)
            streams.exit(.exited(3), &encoder, to: frames)
            streams.exit(.signalled(9), &encoder, to: frames)
        }
        #expect(
            found == [
                #"{"type":"stdout","data":"a"}"#, #"{"type":"stderr","data":"\"\n"}"#,
                #"{"type":"stdout","data":"é\n"}"#, #"{"type":"stdout","base64":"/0E="}"#,
                #"{"type":"stdout","base64":"4g=="}"#, #"{"type":"eof","stream":"stdout"}"#,
                #"{"type":"exit","status":3}"#, #"{"type":"exit","signal":9}"#,
            ])
    }

    @Test func `a position never counts what waits for the rest of its character`() {
        let bytes = Array("aß".utf8)
        let found = messages { streams, encoder, frames in
            streams.output(.stdout, bytes[0..<2].span, behind: 2, &encoder, to: frames)
            streams.output(.stderr, Array("x".utf8).span, behind: 3, &encoder, to: frames)
            streams.output(.stdout, bytes[2..<3].span, behind: 4, &encoder, to: frames)
            streams.output(.stdout, Array("y".utf8).span, behind: 5, &encoder, to: frames)
            streams.lost(LostOutput(octets: nil, position: 9), &encoder, to: frames)
            streams.lost(LostOutput(octets: 3, position: 12), &encoder, to: frames)
        }
        #expect(
            found == [
                #"{"type":"stdout","data":"a","position":1}"#, #"{"type":"stderr","data":"x","position":1}"#,
                #"{"type":"stdout","data":"ß","position":4}"#, #"{"type":"stdout","data":"y","position":5}"#,
                #"{"type":"lost","position":9}"#, #"{"type":"lost","octets":3,"position":12}"#,
            ])
    }

    @Test func `a client that may come back is told how`() {
        let found = messages { streams, encoder, frames in
            streams.start(
                session: "i.1", process: 7, hasTerminal: true,
                resumption: Resumption(token: "t", position: 5, isBack: true), &encoder, to: frames)
        }
        #expect(
            found == [
                #"{"type":"start","session":"i.1","process":7,"terminal":true,"resume":"t","position":5,"resumed":true}"#
            ])
    }
}
