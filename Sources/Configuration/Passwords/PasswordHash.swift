internal import ChimeraBytes

/// A password's hash as a password file holds it, of a kind that the gateway verifies.
package struct PasswordHash: Equatable, Sendable {
    /// How the hash was made, and what verifying it costs.
    package enum Scheme: Equatable, Sendable {
        /// `$2y$`, `$2b$`, `$2a$`: two to the power of `cost` rounds. It reads 72 octets of a password.
        case bcrypt(cost: Int)
        /// `$5$`
        case sha256(rounds: Int)
        /// `$6$`
        case sha512(rounds: Int)
        /// `$apr1$`, Apache's MD5
        case apr1
        /// `{SHA}`, one round of SHA-1 without salt
        case sha1
    }

    /// Why a hash is refused.
    package enum Refusal: Error, Hashable, Sendable, CaseIterable {
        /// Plain text or DES crypt, which cannot be told apart and do not protect a password.
        case plainOrDES
        /// A hash with a `$` or `{` before its name, but none of ours.
        case unknownScheme
        /// One of ours, but cut off or mistyped.
        case malformed
        /// So many rounds that verifying would take seconds.
        case tooCostly
    }

    /// What is refused as too costly: more than a second or so.
    package static let bcryptCostMax = 16
    package static let shaRoundsMax = 1_000_000

    package let scheme: Scheme
    /// The hash as it stands in its file.
    package let text: [UInt8]

    /// Reads a hash, and nothing before or after it.
    package init(_ text: Span<UInt8>) throws(Refusal) {
        scheme = try Self.scheme(of: text)
        self.text = [UInt8](copying: text)
    }

    /// A measure of how long verifying takes, for comparison alone.
    var weight: Int {
        switch scheme {
        case .bcrypt(let cost): 100 << cost
        case .sha256(let rounds), .sha512(let rounds): rounds
        // A thousand rounds of MD5, which has half the work.
        case .apr1: 500
        case .sha1: 1
        }
    }
}

// MARK: - Reading

extension PasswordHash {
    private static func scheme(of text: Span<UInt8>) throws(Refusal) -> Scheme {
        if text.starts(with: "$2y$") || text.starts(with: "$2b$") || text.starts(with: "$2a$") {
            return try bcrypt(text)
        }
        if text.starts(with: "$5$") { return .sha256(rounds: try shaRounds(text, hashLength: 43)) }
        if text.starts(with: "$6$") { return .sha512(rounds: try shaRounds(text, hashLength: 86)) }
        if text.starts(with: "$apr1$") { return try apr1(text) }
        if text.starts(with: "{SHA}") { return try sha1(text) }
        guard !text.isEmpty else { throw .malformed }
        throw text[0] == UInt8(ascii: "$") || text[0] == UInt8(ascii: "{") ? .unknownScheme : .plainOrDES
    }

    /// `$2y$05$`, 22 digits of salt, 31 of hash
    private static func bcrypt(_ text: Span<UInt8>) throws(Refusal) -> Scheme {
        guard text.count == 60, text[6] == dollar, let cost = Int(decimal: text.extracting(4..<6)), cost >= 4,
            isEncoded(text.extracting(7..<60))
        else { throw .malformed }
        guard cost <= bcryptCostMax else { throw .tooCostly }
        return .bcrypt(cost: cost)
    }

    /// `$6$`, `rounds=5000$` or nothing, up to 16 octets of salt, `$`, the hash
    private static func shaRounds(_ text: Span<UInt8>, hashLength: Int) throws(Refusal) -> Int {
        guard let last = text.lastIndex(of: dollar), last >= 3,
            isEncoded(text.extracting((last + 1)..<text.count)),
            text.count - last - 1 == hashLength
        else { throw .malformed }
        var salt = text.extracting(3..<last)
        var rounds = 5000
        if salt.starts(with: "rounds=") {
            guard let end = salt.firstIndex(of: dollar), let number = Int(decimal: salt.extracting(7..<end)),
                number >= 1000
            else { throw .malformed }
            rounds = number
            salt = salt.extracting((end + 1)..<salt.count)
        }
        guard isSalt(salt, max: 16) else { throw .malformed }
        guard rounds <= shaRoundsMax else { throw .tooCostly }
        return rounds
    }

    /// `$apr1$`, up to 8 octets of salt, `$`, 22 digits of hash
    private static func apr1(_ text: Span<UInt8>) throws(Refusal) -> Scheme {
        let end = text.count - 23
        guard end >= 6, text[end] == dollar, isSalt(text.extracting(6..<end), max: 8),
            isEncoded(text.extracting((end + 1)..<text.count))
        else { throw .malformed }
        return .apr1
    }

    /// `{SHA}`, 20 octets in base 64 with padding
    private static func sha1(_ text: Span<UInt8>) throws(Refusal) -> Scheme {
        let encoded = text.extracting(droppingFirst: 5)
        guard encoded.count == 28, Base64.decode(encoded)?.count == 20 else { throw .malformed }
        return .sha1
    }

    private static var dollar: UInt8 { UInt8(ascii: "$") }

    private static func isSalt(_ text: Span<UInt8>, max: Int) -> Bool {
        text.count <= max && text.allSatisfy(.fieldVisible) && text.firstIndex(of: dollar) == nil
    }

    /// The digits of crypt's own base 64.
    private static func isEncoded(_ text: Span<UInt8>) -> Bool {
        for index in 0..<text.count {
            let byte = text[index]
            guard byte.isDigit || byte.isLetter || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "/")
            else { return false }
        }
        return true
    }
}
