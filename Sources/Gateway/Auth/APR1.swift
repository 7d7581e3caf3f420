internal import ChimeraBytes

/// Apache's MD5 password hash, `$apr1$salt$hash`, which libcrypt does not have.
///
/// The construction is that of FreeBSD's `$1$` with another name in it: a thousand rounds of MD5 over
/// password, salt and the round before.
enum APR1 {
    static let rounds = 1000

    /// The hash as it stands after the salt: 22 octets. Nil where libcrypto refuses MD5.
    static func hash(password: Span<UInt8>, salt: Span<UInt8>) -> [UInt8]? {
        guard var digest = MessageDigest(.md5), var state = first(&digest, password, salt) else { return nil }
        for round in 0..<rounds {
            digest.begin()
            let isOdd = round & 1 == 1
            if isOdd { digest.update(password) } else { digest.update(state.span) }
            if round % 3 != 0 { digest.update(salt) }
            if round % 7 != 0 { digest.update(password) }
            if isOdd { digest.update(state.span) } else { digest.update(password) }
            guard let next = digest.finish() else { return nil }
            state = next
        }
        return encode(state)
    }

    /// What the rounds begin with.
    private static func first(
        _ digest: inout MessageDigest, _ password: Span<UInt8>, _ salt: Span<UInt8>
    ) -> [UInt8]? {
        digest.begin()
        digest.update(password)
        digest.update(salt)
        digest.update(password)
        guard let inner = digest.finish() else { return nil }

        let name = Array("$apr1$".utf8)
        let zero: [UInt8] = [0]
        digest.begin()
        digest.update(password)
        digest.update(name.span)
        digest.update(salt)
        for start in stride(from: 0, to: password.count, by: 16) {
            digest.update(inner.span.extracting(first: min(16, password.count - start)))
        }
        // A bit of the length chooses a NUL or the password's first octet.
        var length = password.count
        while length > 0 {
            if length & 1 == 1 {
                digest.update(zero.span)
            } else {
                digest.update(password.extracting(first: 1))
            }
            length >>= 1
        }
        return digest.finish()
    }

    /// Six bits a digit, in the order of the octets that the original chose.
    private static func encode(_ state: [UInt8]) -> [UInt8] {
        let triples = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)]
        var output: [UInt8] = []
        output.reserveCapacity(22)
        for (high, middle, low) in triples {
            append(Int(state[high]) << 16 | Int(state[middle]) << 8 | Int(state[low]), digits: 4, to: &output)
        }
        append(Int(state[11]), digits: 2, to: &output)
        return output
    }

    private static func append(_ value: Int, digits: Int, to output: inout [UInt8]) {
        let alphabet: StaticString = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        // Sound: six bits index sixty-four octets.
        for place in 0..<digits { output.append(alphabet.utf8Start[value >> (place * 6) & 0x3F]) }
    }
}
