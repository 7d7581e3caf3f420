import ChimeraWebSocket

/// One frame in the shortest form; `key` where a client sends it.
func frame(
    _ opcode: UInt8, _ length: Int, final: Bool = true, key: [UInt8]? = nil, reserved: UInt8 = 0
) -> [UInt8] {
    header(opcode, length, final: final, key: key, reserved: reserved) + Array(repeating: 0x88, count: length)
}

func header(
    _ opcode: UInt8, _ length: Int, final: Bool = true, key: [UInt8]? = nil, reserved: UInt8 = 0
) -> [UInt8] {
    let mask: UInt8 = key == nil ? 0 : 0x80
    let first = (final ? 0x80 : 0) | reserved << 4 | opcode
    let more: [UInt8] =
        length < 126
        ? [mask | UInt8(length)]
        : length <= 0xFFFF
            ? [mask | 126] + octets(length, 2) : [mask | 127] + octets(length, 8)
    return [first] + more + (key ?? [])
}

private func octets(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}

/// What can be seen of a scanner.
struct ScannerFacts: Equatable {
    var isAtBoundary: Bool
    var hasClosed: Bool
    var isOff: Bool
    var mayBeJoined: Bool

    init(_ scanner: FrameScanner) {
        isAtBoundary = scanner.isAtBoundary
        hasClosed = scanner.hasClosed
        isOff = scanner.isOff
        mayBeJoined = scanner.mayBeJoined
    }

    /// After these pieces.
    init(_ role: Role, _ pieces: [[UInt8]]) {
        var scanner = FrameScanner(role)
        for piece in pieces { scanner.follow(piece.span) }
        self.init(scanner)
    }
}
