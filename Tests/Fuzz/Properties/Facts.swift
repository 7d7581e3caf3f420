@testable import ChimeraBytes
@testable import ChimeraHTTP1
@testable import ChimeraHTTPCore

/// What a parser made of some bytes.
enum Outcome<Facts: Equatable>: Equatable {
    case complete(Facts)
    case refused(Refusal)
    case incomplete
}

/// The usual bounds, or small ones that short inputs reach.
func limits(small: Bool) -> Limits {
    var limits = Limits()
    guard small else { return limits }
    limits.startLineBytesMax = 40
    limits.headBytesMax = 128
    limits.fieldsMax = 4
    limits.chunkExtensionBytesMax = 8
    limits.trailerBytesMax = 24
    return limits
}

/// One field: its name in small letters, and its value.
struct FieldFacts: Equatable {
    var name: [UInt8]
    var value: [UInt8]

    /// The fields that are present.
    static func all(_ block: FieldBlock) -> [FieldFacts] {
        (0..<block.lineCount).compactMap { index in
            let line = block.line(at: index)
            guard line.isPresent else { return nil }
            return FieldFacts(
                name: [UInt8](copying: block.name(of: line)).map(\.lowercased),
                value: [UInt8](copying: block[line.value]))
        }
    }

    /// What no field may hold whatever came in: a name that is no token, a value with a control or with blanks around it.
    static func failure(in fields: [FieldFacts]) -> String? {
        for field in fields {
            if field.name.isEmpty || !field.name.allSatisfy(\.isTokenCharacter) {
                return "a name is no token"
            }
            if !field.value.allSatisfy(\.isFieldValueCharacter) { return "a value holds a control" }
            if let first = field.value.first, let last = field.value.last,
                first.isOptionalWhitespace || last.isOptionalWhitespace
            {
                return "a value begins or ends with a blank"
            }
        }
        return nil
    }
}

/// What a request's head says.
struct RequestFacts: Equatable {
    var method: [UInt8]
    var form: TargetForm
    var path: [UInt8]
    var authority: [UInt8]
    var body: BodyLength
    var expectsContinue: Bool
    var upgrade: [UInt8]
    var persistence: Persistence
    var fields: [FieldFacts]
    var consumed: Int

    /// Parses bytes of which as many as `ends` say are there at each call.
    static func parse(
        _ bytes: [UInt8], _ ends: [Int], _ limits: Limits, into head: RequestHead = RequestHead()
    ) -> Outcome<RequestFacts> {
        var parser = RequestParser(limits: limits)
        for end in ends {
            let outcome = withExactMemory(bytes[..<end]) { piece in
                do throws(Refusal) {
                    guard case .complete(let count) = try parser.parse(piece, into: head) else {
                        return Outcome<RequestFacts>.incomplete
                    }
                    return .complete(RequestFacts(head, parser.persistence, count))
                } catch {
                    return .refused(error)
                }
            }
            if outcome != .incomplete { return outcome }
        }
        return .incomplete
    }

    private init(_ head: RequestHead, _ persistence: Persistence, _ count: Int) {
        method = [UInt8](copying: head[head.methodBytes])
        form = head.form
        path = [UInt8](copying: head[head.pathAndQuery])
        authority = [UInt8](copying: head[head.authority])
        body = head.body
        expectsContinue = head.expectsContinue
        upgrade = [UInt8](copying: head[head.upgrade])
        self.persistence = persistence
        fields = FieldFacts.all(head)
        consumed = count
    }
}

/// What a response's head says.
struct ResponseFacts: Equatable {
    var status: Int
    var body: BodyLength
    var framing: WireFraming
    var persistence: Persistence
    var fields: [FieldFacts]
    var consumed: Int

    /// Parses bytes of which as many as `ends` say are there at each call.
    static func parse(
        _ bytes: [UInt8], _ ends: [Int], answering method: Method, _ limits: Limits,
        into head: ResponseHead = ResponseHead()
    ) -> Outcome<ResponseFacts> {
        var parser = ResponseParser(limits: limits)
        for end in ends {
            let outcome = withExactMemory(bytes[..<end]) { piece in
                do throws(Refusal) {
                    guard case .complete(let count) = try parser.parse(piece, into: head, answering: method)
                    else {
                        return Outcome<ResponseFacts>.incomplete
                    }
                    return .complete(
                        ResponseFacts(
                            status: head.status, body: head.body, framing: parser.framing,
                            persistence: parser.persistence, fields: FieldFacts.all(head), consumed: count))
                } catch {
                    return .refused(error)
                }
            }
            if outcome != .incomplete { return outcome }
        }
        return .incomplete
    }
}
