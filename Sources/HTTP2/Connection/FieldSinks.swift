internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Takes the fields of a trailer section (RFC 9113 §8.1).
struct TrailerSink: FieldSink {
    let block: FieldBlock
    private(set) var violation: Violation?

    init(_ block: FieldBlock) {
        self.block = block
        block.removeAll()
    }

    mutating func add(_ field: DecodedField) {
        if violation != nil { return }
        if !field.isValid { return violation = .fieldMalformed }
        // RFC 9113 §8.1: a trailer section has no pseudo-fields.
        if field.name.isPseudo { return violation = .pseudoMisplaced }
        if Self.isOfConnection(field.name.field) { return violation = .fieldConnectionSpecific }
        block.add(FieldLine(name: field.name.field, nameBytes: field.nameBytes, value: field.value))
    }

    /// RFC 9113 §8.2.2: what no message has, but for TE of a request.
    static func isOfConnection(_ name: FieldName) -> Bool {
        switch name {
        case .connection, .proxyConnection, .keepAlive, .transferEncoding, .upgrade, .te: true
        default: false
        }
    }
}

/// Takes fields that nobody gets: their block has to be decoded for the table's sake (RFC 9113 §4.3).
struct IgnoringSink: FieldSink {
    let block: FieldBlock

    init(_ block: FieldBlock) {
        self.block = block
        block.removeAll()
    }

    func add(_ field: DecodedField) {}
}

extension BlockFacts {
    /// Why a head is refused that is beyond the bounds.
    func refusal(_ limits: Limits) -> Refusal? {
        guard isTooLarge else { return nil }
        return listBytes > limits.headBytesMax ? .headTooLarge : .fieldsTooMany
    }
}

extension FieldBlock {
    /// What Content-Length says, where it is there (RFC 9110 §8.6).
    func declaredLength() throws(Violation) -> Int? {
        guard contains(.contentLength) else { return nil }
        var length = ContentLength()
        do throws(ContentLength.Refusal) {
            for index in 0..<lineCount where line(at: index).name == .contentLength {
                try length.add(self[line(at: index).value])
            }
        } catch {
            throw error == .differing ? .lengthMismatched : .lengthMalformed
        }
        return length.value.map { Int($0) }
    }
}

/// Some of the well-known field names: a test costs one load, however many they are.
struct FieldNameSet: Sendable {
    private var words: [4 of UInt64] = [0, 0, 0, 0]

    init(_ names: [FieldName]) {
        for name in names { words[Int(name.rawValue >> 6)] |= 1 << UInt64(name.rawValue & 63) }
    }

    func contains(_ name: FieldName) -> Bool {
        words[Int(name.rawValue >> 6)] >> UInt64(name.rawValue & 63) & 1 != 0
    }

    /// RFC 9113 §8.2.2: what belongs to a connection of HTTP/1.1; and the length, which the head says.
    private static let ofConnection: [FieldName] = [
        .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade, .http2Settings, .te,
        .contentLength,
    ]
    static let withheldByServers = FieldNameSet(ofConnection)
    /// RFC 9113 §8.3.1: the host is the authority; RFC 8441 §5: a WebSocket has no key here.
    static let withheldByClients = FieldNameSet(ofConnection + [.host, .secWebsocketKey])
}
