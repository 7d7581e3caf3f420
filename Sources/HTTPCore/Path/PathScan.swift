internal import ChimeraBytes

/// One pass over the path of a request target, before anything is written.
struct PathScan: ~Escapable {
    private let target: Span<UInt8>
    /// Where the quick pass stopped; the thorough one goes on there.
    private var index = 0

    @_lifetime(copy target)
    init(_ target: Span<UInt8>) {
        self.target = target
    }

    /// Where the path ends, if both of its forms are what it is; nil if it needs work, or is to be refused.
    @_lifetime(self: copy self)
    mutating func endIfNormal() -> Int? {
        var previousIsSlash = false
        while index < target.count {
            let byte = target[index]
            if ByteSet.pathNeedsCare.contains(byte) {
                if byte == UInt8(ascii: "?") { return index }
                // After a slash, a dot may begin a dot segment, and a slash doubles it.
                guard byte == .slash || byte == .dot, !previousIsSlash else { return nil }
                previousIsSlash = byte == .slash
            } else {
                previousIsSlash = false
            }
            index &+= 1
        }
        return index
    }

    /// Where the path ends, if every octet of it may stand in one.
    @_lifetime(self: copy self)
    mutating func endIfValid() throws(PathNormaliser.Refusal) -> Int {
        while index < target.count {
            switch target[index] {
            case UInt8(ascii: "?"): return index
            case UInt8(ascii: "%"): try checkEscape()
            case UInt8(ascii: "#"): throw .fragment
            case UInt8(ascii: "\\"): throw .backslash
            case 0...0x20, 0x7F: throw .controlCharacter
            default: break
            }
            index &+= 1
        }
        return index
    }

    private func checkEscape() throws(PathNormaliser.Refusal) {
        switch target.escapedByte(at: index) {
        case nil: throw .badEscape
        case 0: throw .encodedNul
        case UInt8(ascii: "\\"): throw .backslash
        default: break
        }
    }
}

extension ByteSet {
    /// What the quick pass has to look at: controls, `#`, `%`, `;`, `?`, `\`, and slash and dot.
    fileprivate static var pathNeedsCare: ByteSet {
        ByteSet(low: 0x8800_C029_FFFF_FFFF, high: 0x8000_0000_1000_0000)
    }
}

extension UInt8 {
    static var slash: UInt8 { UInt8(ascii: "/") }
    static var dot: UInt8 { UInt8(ascii: ".") }
}

extension Span where Element == UInt8 {
    /// The octet that the three at `index` stand for, the first being a percent sign; nil for a bad escape.
    func escapedByte(at index: Int) -> UInt8? {
        guard count - index > 2, let high = self[index + 1].hexValue, let low = self[index + 2].hexValue
        else { return nil }
        return high << 4 | low
    }
}
