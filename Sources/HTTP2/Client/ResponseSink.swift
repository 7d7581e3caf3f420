internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Fills a response's head from decoded fields, and checks it (RFC 9113 §8.2 and §8.3.2).
struct ResponseSink: FieldSink {
    let head: ResponseHead
    /// The first thing that makes the answer malformed.
    private(set) var violation: Violation?
    private var seenStatus = false
    private var seenField = false

    var block: FieldBlock { head }

    init(_ head: ResponseHead) {
        self.head = head
        head.reset()
    }

    mutating func add(_ field: DecodedField) {
        if violation != nil { return }
        if !field.isValid { return violation = .fieldMalformed }
        if field.name.isPseudo { return addPseudo(field) }
        seenField = true
        if TrailerSink.isOfConnection(field.name.field) { return violation = .fieldConnectionSpecific }
        head.add(FieldLine(name: field.name.field, nameBytes: field.nameBytes, value: field.value))
    }

    /// RFC 9113 §8.3: `:status`, once, and before other fields.
    private mutating func addPseudo(_ field: DecodedField) {
        if seenField { return violation = .pseudoMisplaced }
        guard field.name == .status else { return violation = .pseudoUnknown }
        guard !seenStatus else { return violation = .pseudoRepeated }
        seenStatus = true
        let head = head
        let digits = head[field.value]
        guard digits.count == 3, let status = Int(decimal: digits), status >= 100 else {
            return violation = .statusMalformed
        }
        head.status = status
    }

    // MARK: The whole head

    /// Checks the head once all fields are there, and says what is known of its content.
    ///
    /// - Returns: how many octets of content are to come; nil where nothing says.
    func finish(endStream: Bool, answering asked: Asked) throws(Violation) -> Int? {
        guard seenStatus else { throw .pseudoMissing }
        guard head.status >= 200 else {
            // RFC 9113 §8.6 and §8.1.
            guard head.status != 101 else { throw .protocolSwitched }
            guard !endStream else { throw .interimHeadEnds }
            return nil
        }
        let length = try head.declaredLength()
        if asked == .tunnel && head.status < 300 {
            // RFC 9110 §9.3.6: what follows is the tunnel's.
            head.remove(.contentLength)
            head.body = .unknown
            return nil
        }
        // RFC 9113 §8.1.1: these have no content, whatever length they tell.
        if head.forbidsContent { return 0 }
        guard asked != .head else {
            head.body = length.map { .known($0) } ?? .unknown
            return 0
        }
        if endStream && length ?? 0 != 0 { throw .lengthMismatched }
        head.body = length.map { .known($0) } ?? (endStream ? .none : .unknown)
        return length
    }
}
