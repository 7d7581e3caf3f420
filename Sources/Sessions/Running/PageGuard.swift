internal import ChimeraBytes

/// Keeps requests of HTTP from programs that speak to connections: any page can have a browser send one to any port of the
/// machine that it runs on, and a program must not run what that says.
///
/// What begins as a request does is held until its first line shows whether it is one.
struct PageGuard: ~Copyable {
    enum Verdict { case pass, hold, refuse }

    private let held = ByteBuffer(capacity: 64)

    /// Octets of a first line; a longer one is that of a request.
    private static let lineMax = 8192
    private static let methods: [StaticString] = [
        "GET ", "POST ", "HEAD ", "OPTIONS ", "PUT ", "DELETE ", "PATCH ", "CONNECT ", "TRACE ",
    ]

    /// Takes what came, and puts all that is to pass into its place.
    ///
    /// - Parameter isLast: there is no more.
    mutating func take(_ buffer: ByteBuffer, isLast: Bool) -> Verdict {
        held.append(buffer.readable)
        buffer.clear()
        var verdict = judge()
        if isLast && verdict == .hold { verdict = .pass }
        if verdict == .pass { buffer.append(held.readable) }
        return verdict
    }

    private func judge() -> Verdict {
        let bytes = held.readable
        guard Self.methods.contains(where: { bytes.begins(as: $0) }) else { return .pass }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            return bytes.count > Self.lineMax ? .refuse : .hold
        }
        return bytes.extracting(0..<end).hasVersion ? .refuse : .pass
    }
}

extension Span where Element == UInt8 {
    /// One of both begins with the other.
    fileprivate func begins(as text: StaticString) -> Bool {
        for index in 0..<Swift.min(count, text.utf8CodeUnitCount) where self[index] != text.utf8Start[index] {
            return false
        }
        return true
    }

    /// ` HTTP/` is somewhere in it.
    fileprivate var hasVersion: Bool {
        let sign: StaticString = " HTTP/"
        guard count >= sign.utf8CodeUnitCount else { return false }
        for start in 0...(count - sign.utf8CodeUnitCount) {
            if extracting(start..<count).begins(as: sign) { return true }
        }
        return false
    }
}
