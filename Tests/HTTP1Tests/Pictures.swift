import ChimeraBytes
import ChimeraHTTP1
import ChimeraHTTPCore

/// What a parser made of some bytes.
enum Outcome<Picture: Equatable>: Equatable {
    case complete(Picture)
    case refused(Refusal)
    case incomplete

    var picture: Picture? {
        if case .complete(let picture) = self { return picture }
        return nil
    }
}

/// All that a request's head says, as values that can be compared.
struct RequestPicture: Equatable {
    var method = Method.get
    var methodText = ""
    var form = TargetForm.origin
    var target = ""
    var pathAndQuery = ""
    var authority = ""
    var body = BodyLength.none
    var expectsContinue = false
    var upgrade = ""
    var minorVersion: UInt8 = 1
    var persistence = Persistence()
    var fields: [String] = []
    var consumed = 0

    init(_ head: RequestHead, _ persistence: Persistence, consumed: Int) {
        method = head.method
        methodText = text(head[head.methodBytes])
        form = head.form
        target = text(head[head.target])
        pathAndQuery = text(head[head.pathAndQuery])
        authority = text(head[head.authority])
        body = head.body
        expectsContinue = head.expectsContinue
        upgrade = text(head[head.upgrade])
        minorVersion = head.minorVersion
        self.persistence = persistence
        fields = fieldLines(head)
        self.consumed = consumed
    }

    /// Parses `bytes` of which as many as `ends` say are there at each call.
    static func parse(_ bytes: [UInt8], _ ends: [Int], _ limits: Limits = Limits()) -> Outcome<RequestPicture>
    {
        var parser = RequestParser(limits: limits)
        let head = RequestHead()
        for end in ends {
            do throws(Refusal) {
                if case .complete(let consumed) = try parser.parse(bytes.span.extracting(0..<end), into: head)
                {
                    return .complete(RequestPicture(head, parser.persistence, consumed: consumed))
                }
            } catch {
                return .refused(error)
            }
        }
        return .incomplete
    }
}

/// All that a response's head says.
struct ResponsePicture: Equatable {
    var status: Int
    var minorVersion: UInt8
    var body: BodyLength
    var framing: WireFraming
    var persistence: Persistence
    var fields: [String]
    var consumed: Int

    /// Parses `bytes` of which as many as `ends` say are there at each call.
    static func parse(
        _ bytes: [UInt8], _ ends: [Int], answering method: Method = .get, _ limits: Limits = Limits()
    ) -> Outcome<ResponsePicture> {
        var parser = ResponseParser(limits: limits)
        let head = ResponseHead()
        for end in ends {
            do throws(Refusal) {
                let piece = bytes.span.extracting(0..<end)
                if case .complete(let consumed) = try parser.parse(piece, into: head, answering: method) {
                    return .complete(
                        ResponsePicture(
                            status: head.status, minorVersion: head.minorVersion, body: head.body,
                            framing: parser.framing, persistence: parser.persistence,
                            fields: fieldLines(head),
                            consumed: consumed))
                }
            } catch {
                return .refused(error)
            }
        }
        return .incomplete
    }
}

/// What a decoder made of a body.
struct BodyPicture: Equatable {
    enum End: Equatable {
        case ended, incomplete
        case refused(Refusal)
    }

    var content = ""
    var trailers: [String] = []
    var end = End.incomplete
    /// Bytes behind the body that were left alone.
    var left = 0

    /// Decodes `bytes` as they come, keeping what the decoder did not consume, as a connection does.
    static func decode(
        _ bytes: [UInt8], _ ends: [Int], _ framing: WireFraming, _ limits: Limits = Limits(),
        closes: Bool = false
    ) -> BodyPicture {
        var decoder = BodyDecoder(framing, limits: limits)
        var picture = BodyPicture()
        var content: [UInt8] = []
        var buffer: [UInt8] = []
        var taken = 0
        for end in ends where picture.end == .incomplete {
            buffer += bytes[taken..<end]
            taken = end
            picture.end = step(&decoder, &buffer, &content)
        }
        if closes, picture.end == .incomplete, decoder.connectionEnded() { picture.end = .ended }
        picture.content = String(decoding: content, as: UTF8.self)
        if picture.end == .ended {
            picture.left = buffer.count + bytes.count - taken
            if let trailers = decoder.trailers { picture.trailers = fieldLines(trailers) }
        }
        return picture
    }

    private static func step(_ decoder: inout BodyDecoder, _ buffer: inout [UInt8], _ content: inout [UInt8])
        -> End
    {
        while true {
            do throws(Refusal) {
                switch try decoder.next(buffer.span) {
                case .content(let range):
                    content += buffer[range]
                    buffer.removeFirst(range.upperBound)
                case .incomplete(let consumed):
                    buffer.removeFirst(consumed)
                    return .incomplete
                case .end(let consumed):
                    buffer.removeFirst(consumed)
                    return .ended
                }
            } catch {
                return .refused(error)
            }
        }
    }
}

func text(_ span: Span<UInt8>) -> String { String(decoding: [UInt8](copying: span), as: UTF8.self) }

/// The lines that are present, as `name: value`.
func fieldLines(_ block: FieldBlock) -> [String] {
    (0..<block.lineCount).compactMap { index in
        let line = block.line(at: index)
        return line.isPresent ? text(block.name(of: line)) + ": " + text(block[line.value]) : nil
    }
}
