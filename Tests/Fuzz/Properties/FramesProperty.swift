@testable import ChimeraBytes
@testable import ChimeraWebSocket

/// What a scanner says of the bytes that it followed.
private struct ScanFacts: Equatable {
    var isAtBoundary = true
    var hasClosed = false
    var isOff = false

    init() {}

    init(_ scanner: FrameScanner) {
        isAtBoundary = scanner.isAtBoundary
        hasClosed = scanner.hasClosed
        isOff = scanner.isOff
    }
}

/// One direction of a WebSocket: the first byte says who sends, the others are what came.
///
/// - A scanner says the same of it in any pieces: at each place where one ends, what the grammar says of the bytes
///   up to there.
/// - A Close put behind it where the scanner allows one is read as one.
func framesFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    let role: Role = choice & 1 == 0 ? .server : .client
    let bytes = Array(input.dropFirst())
    for way in cuts(bytes) {
        var scanner = FrameScanner(role)
        var taken = 0
        for end in way {
            withExactMemory(bytes[taken..<end]) { scanner.follow($0) }
            taken = end
            let meant = ScanFacts.slowly(bytes[..<end], role)
            if ScanFacts(scanner) != meant { return "other frames were meant, up to \(end)" }
        }
        if scanner.mayBeJoined, let failure = joinFailure(scanner, bytes, role) { return failure }
    }
    return nil
}

private func joinFailure(_ scanner: FrameScanner, _ bytes: [UInt8], _ role: Role) -> String? {
    let output = ByteBuffer(capacity: 16)
    CloseFrame.append(.serviceRestart, maskingKey: role == .client ? 0x8182_8384 : nil, to: output)
    var joined = scanner
    joined.follow(output.readable)
    let written = [UInt8](copying: output.readable)
    let facts = ScanFacts.slowly((bytes + written)[...], role)
    let isClose = facts.hasClosed && facts.isAtBoundary && !facts.isOff
    return isClose && ScanFacts(joined) == facts && !joined.mayBeJoined ? nil : "a Close is no Close"
}

// MARK: - The grammar once more, without regard to cost

extension ScanFacts {
    /// RFC 6455 §5.2, read from bytes that are all there.
    fileprivate static func slowly(_ bytes: ArraySlice<UInt8>, _ role: Role) -> ScanFacts {
        var (facts, rest) = (ScanFacts(), bytes)
        while let first = rest.first {
            facts.isAtBoundary = false
            let opcode = first & 0xF
            guard [0, 1, 2, 8, 9, 10].contains(opcode), opcode < 8 || first >= 0x80 else {
                return facts.off()
            }
            rest = rest.dropFirst()
            guard let second = rest.first else { return facts }
            let short = second & 0x7F
            guard (second >= 0x80) == (role == .client), opcode < 8 || short < 126 else { return facts.off() }
            rest = rest.dropFirst()
            let size = short < 126 ? 0 : short == 126 ? 2 : 8
            guard rest.count >= size else { return facts }
            let long = rest.prefix(size).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
            if size == 2 && long < 126 || size == 8 && (long < 65_536 || long >> 63 == 1) {
                return facts.off()
            }
            rest = rest.dropFirst(size)
            let key = role == .client ? 4 : 0
            guard rest.count >= key else { return facts }
            rest = rest.dropFirst(key)
            if opcode == 8 { facts.hasClosed = true }
            let length = size == 0 ? UInt64(short) : long
            guard UInt64(rest.count) >= length else { return facts }
            rest = rest.dropFirst(Int(length))
            facts.isAtBoundary = true
        }
        return facts
    }

    private func off() -> ScanFacts {
        var facts = self
        facts.isOff = true
        return facts
    }
}
