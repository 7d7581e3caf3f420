internal import ChimeraBytes

/// A user and a password from `Authorization` (RFC 7617).
package struct BasicCredentials: Equatable, Sendable {
    private let decoded: [UInt8]
    private let colon: Int

    /// Reads the value of `Authorization`: `Basic`, in any case, and base 64.
    ///
    /// - Returns: nil for another scheme, and for what is malformed: bad base 64, no colon, control
    ///   characters.
    package init?(_ value: Span<UInt8>) {
        guard value.startsIgnoringCase(with: "basic ") else { return nil }
        var start = 6
        while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
        guard let decoded = Base64.decode(value.extracting(start..<value.count)),
            let colon = decoded.firstIndex(of: UInt8(ascii: ":")),
            // RFC 7617 §2: neither may hold a control character.
            !decoded.contains(where: \.isControl)
        else { return nil }
        self.decoded = decoded
        self.colon = colon
    }

    /// The credentials of `user`, a name without a colon.
    package init(user: [UInt8], password: [UInt8]) {
        decoded = user + [UInt8(ascii: ":")] + password
        colon = user.count
    }

    /// The user, without a colon; it may be empty.
    package var user: ArraySlice<UInt8> { decoded[..<colon] }

    /// The password; it may hold colons, and may be empty.
    package var password: ArraySlice<UInt8> { decoded[(colon + 1)...] }

    /// The value of `WWW-Authenticate` that asks for such credentials in UTF-8.
    package static func challenge(realm: String) -> String {
        let quoted = realm.unicodeScalars.filter { $0.isASCII && $0.value >= 0x20 && $0.value != 0x7F }
            .map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        return "Basic realm=\"\(quoted)\", charset=\"UTF-8\""
    }
}
