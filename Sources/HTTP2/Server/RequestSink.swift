internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Why a request's head is not given on.
enum HeadProblem: Error, Equatable {
    /// RFC 9113 §8.1.1: malformed, which ends the stream.
    case malformed(Violation)
    /// Well-formed, but refused: it gets an answer.
    case refused(Refusal)
}

/// Fills a request's head from decoded fields, and checks it (RFC 9113 §8.2 and §8.3, RFC 8441 §4).
///
/// What would turn into something else on another version of HTTP is malformed: where this gateway and an upstream
/// could read a message differently, nobody gets it.
struct RequestSink: FieldSink {
    let head: RequestHead
    /// The first thing that makes the request malformed.
    private(set) var violation: Violation?
    private(set) var priority = Priority()
    private var pseudo = PseudoFields()
    private var upgrade = Slice.empty
    private var seenField = false

    var block: FieldBlock { head }

    init(_ head: RequestHead) {
        self.head = head
        head.reset()
        head.majorVersion = 2
    }

    /// The pseudo-fields that came.
    private struct PseudoFields: OptionSet {
        let rawValue: UInt8
        static let method = PseudoFields(rawValue: 1)
        static let scheme = PseudoFields(rawValue: 2)
        static let path = PseudoFields(rawValue: 4)
        static let authority = PseudoFields(rawValue: 8)
        static let `protocol` = PseudoFields(rawValue: 16)
    }

    mutating func add(_ field: DecodedField) {
        if violation != nil { return }
        if !field.isValid { return violation = .fieldMalformed }
        if field.name.isPseudo { return addPseudo(field) }
        seenField = true
        switch field.name.field {
        case .connection, .proxyConnection, .keepAlive, .transferEncoding, .upgrade:
            violation = .fieldConnectionSpecific
        case .te:
            // RFC 9113 §8.2.2: nothing but "trailers".
            if !head[field.value].equalsIgnoringCase("trailers") { violation = .teNotTrailers }
        case .priority: priority = Priority(parsing: head[field.value])
        default: break
        }
        head.add(FieldLine(name: field.name.field, nameBytes: field.nameBytes, value: field.value))
    }

    /// RFC 9113 §8.3: known, once, and before other fields.
    private mutating func addPseudo(_ field: DecodedField) {
        if seenField { return violation = .pseudoMisplaced }
        let kind: PseudoFields
        switch field.name {
        case .method:
            kind = .method
            head.methodBytes = field.value
        case .path:
            kind = .path
            head.target = field.value
        case .scheme:
            kind = .scheme
            head.scheme = field.value
        case .authority:
            kind = .authority
            head.authority = field.value
        case .protocol:
            kind = .protocol
            upgrade = field.value
        default: return violation = .pseudoUnknown
        }
        guard pseudo.insert(kind).inserted else { return violation = .pseudoRepeated }
    }

    // MARK: The whole head

    /// Checks the head once all fields are there.
    mutating func finish(endStream: Bool, allowsExtendedConnect: Bool) throws(HeadProblem) {
        if let violation { throw .malformed(violation) }
        guard pseudo.contains(.method) else { throw .malformed(.pseudoMissing) }
        let method = head[head.methodBytes]
        guard method.count > 0, method.allSatisfy(.token) else { throw .malformed(.methodMalformed) }
        head.method = Method(method)
        let isTunnel = head.method == .connect
        if pseudo.contains(.protocol) {
            // RFC 8441 §4: a CONNECT with scheme and path, where we said that we know it.
            guard allowsExtendedConnect else { throw .malformed(.pseudoUnknown) }
            guard isTunnel else { throw .malformed(.pseudoSuperfluous) }
            guard head[upgrade].count > 0, head[upgrade].allSatisfy(.token) else {
                throw .malformed(.pseudoMissing)
            }
            head.upgrade = upgrade
        }
        try checkAuthority()
        if isTunnel && !pseudo.contains(.protocol) {
            try checkConnect()
        } else {
            try checkTarget()
        }
        if head.contains(.cookie) { joinCookies() }
        try checkLength(endStream: endStream, isTunnel: isTunnel)
        if head.contains(.expect) { try checkExpectation() }
    }

    /// RFC 9113 §8.5: only the authority says whom to connect to.
    private func checkConnect() throws(HeadProblem) {
        guard pseudo.isDisjoint(with: [.scheme, .path]) else { throw .malformed(.pseudoSuperfluous) }
        guard pseudo.contains(.authority) else { throw .malformed(.pseudoMissing) }
        head.form = .authority
        head.target = head.authority
    }

    /// RFC 9113 §8.3.1: scheme and path, in the form that a request line could have.
    private func checkTarget() throws(HeadProblem) {
        guard pseudo.isSuperset(of: [.scheme, .path]) else { throw .malformed(.pseudoMissing) }
        let scheme = head[head.scheme]
        guard Self.isScheme(scheme) else { throw .malformed(.schemeMalformed) }
        let target = head[head.target]
        guard target.count > 0 else { throw .malformed(.pathMalformed) }
        for index in 0..<target.count {
            let octet = target[index]
            if octet <= 32 || octet >= 127 || octet == UInt8(ascii: "#") { throw .malformed(.pathMalformed) }
        }
        if target.count == 1 && target[0] == UInt8(ascii: "*") && head.method == .options {
            head.form = .asterisk
        } else {
            guard target[0] == UInt8(ascii: "/") else { throw .malformed(.pathMalformed) }
            head.form = .origin
            head.pathAndQuery = head.target
        }
        // A well-formed request, for something that is no HTTP: nobody here serves it.
        guard scheme.equalsIgnoringCase("https") || scheme.equalsIgnoringCase("http") else {
            throw .refused(.targetMalformed)
        }
    }

    /// RFC 3986 §3.1.
    private static func isScheme(_ text: Span<UInt8>) -> Bool {
        guard text.count > 0, text[0].isLetter else { return false }
        for index in 0..<text.count {
            let octet = text[index]
            guard
                octet.isLetter || octet.isDigit || octet == UInt8(ascii: "+") || octet == UInt8(ascii: "-")
                    || octet == UInt8(ascii: ".")
            else { return false }
        }
        return true
    }

    /// RFC 9113 §8.3.1: one authority, not empty, without user information, and Host says the same if it is there.
    /// Afterwards there is one Host field, as in every other version.
    private func checkAuthority() throws(HeadProblem) {
        if let index = head.index(of: .host) {
            guard head.occurrences(of: .host) == 1 else { throw .malformed(.hostDiffers) }
            let host = head.line(at: index).value
            if !pseudo.contains(.authority) {
                head.authority = host
            } else if !head[host].equalsIgnoringCase(head[head.authority]) {
                throw .malformed(.hostDiffers)
            }
        } else if pseudo.contains(.authority) {
            head.add(FieldLine(name: .host, nameBytes: .empty, value: head.authority))
        }
        let authority = head[head.authority]
        guard authority.count > 0 else { throw .malformed(.authorityMissing) }
        for index in 0..<authority.count {
            let octet = authority[index]
            if octet <= 32 || octet >= 127 || octet == UInt8(ascii: "@") {
                throw .malformed(.authorityMalformed)
            }
        }
    }

    /// RFC 9113 §8.2.3: cookies that came in pieces are one field for everybody else.
    private func joinCookies() {
        guard head.occurrences(of: .cookie) > 1 else { return }
        var length = 0
        for index in 0..<head.lineCount where head.line(at: index).name == .cookie {
            length += Int(head.line(at: index).value.count) + 2
        }
        let room = head.room(length)
        var count = 0
        for index in 0..<head.lineCount where head.line(at: index).name == .cookie {
            if head.line(at: index).value.isEmpty { continue }
            if count > 0 {
                room[count] = UInt8(ascii: ";")
                room[count + 1] = UInt8(ascii: " ")
                count += 2
            }
            let value = head.line(at: index).value
            // Sound: the slice lies in the block, and the room behind it holds all pieces with their separators.
            (room + count).update(from: head.bytes + Int(value.start), count: Int(value.count))
            count += Int(value.count)
        }
        let joined = head.commit(count)
        head.remove(.cookie)
        head.add(FieldLine(name: .cookie, nameBytes: .empty, value: joined))
    }

    /// RFC 9113 §8.1.1: what Content-Length says, and what the end of the stream says already.
    private func checkLength(endStream: Bool, isTunnel: Bool) throws(HeadProblem) {
        let length: Int?
        do throws(Violation) { length = try head.declaredLength() } catch { throw .malformed(error) }
        if isTunnel {
            // RFC 9110 §9.3.6: CONNECT has no content; what follows is the tunnel's.
            guard length == nil else { throw .malformed(.lengthMalformed) }
            return head.body = .none
        }
        guard let count = length else {
            return head.body = endStream ? .none : .unknown
        }
        if endStream && count != 0 { throw .malformed(.lengthMismatched) }
        head.body = count == 0 ? .none : .known(count)
        guard let value = head[.contentLength] else { return }
        // RFC 9110 §8.6: said once, and in the one form that every recipient writes itself.
        let isPlain =
            head.occurrences(of: .contentLength) == 1 && value.firstIndex(of: UInt8(ascii: ",")) == nil
        if !isPlain || value.count > 1 && value[0] == UInt8(ascii: "0") {
            head.remove(.contentLength)
            head.add(.contentLength, decimal: count)
        }
    }

    private func checkExpectation() throws(HeadProblem) {
        guard let value = head[.expect], value.equalsIgnoringCase("100-continue"),
            head.occurrences(of: .expect) == 1
        else { throw .refused(.expectationFailed) }
        // RFC 9110 §10.1.1: pointless without a body.
        head.expectsContinue = head.body != .none
    }
}
