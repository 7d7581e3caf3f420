internal import ChimeraBytes
package import ChimeraConfiguration

/// Remembers which credentials were verified of late, so that a hash which takes a millisecond is computed
/// once for each visitor and not for each request.
///
/// It keeps no password: an entry is a SHA-256 of a random key of its own, user, password and the hash in the
/// file. Where any of these is another, as after the file has changed, there is no entry. It belongs to one
/// worker. Only success is remembered.
package struct VerifiedCredentials: ~Copyable {
    /// How much is kept, and for how long.
    package struct Limits: Sendable {
        /// Entries; zero keeps nothing.
        package var countMax = 1024
        /// Nanoseconds after which a password is verified again.
        package var lifetime: UInt64 = 300_000_000_000

        package init() {}
    }

    /// What an entry is found by.
    package struct Key: Hashable, Sendable {
        private let words: InlineArray<4, UInt64>

        fileprivate init?(_ hash: [UInt8]) {
            guard hash.count == 32 else { return nil }
            var words = InlineArray<4, UInt64>(repeating: 0)
            for index in 0..<32 { words[index / 8] = words[index / 8] << 8 | UInt64(hash[index]) }
            self.words = words
        }

        package static func == (left: Key, right: Key) -> Bool {
            left.words[0] == right.words[0] && left.words[1] == right.words[1]
                && left.words[2] == right.words[2] && left.words[3] == right.words[3]
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(words[0]) }
    }

    private let limits: Limits
    private let secret: [UInt8]
    private var digest: MessageDigest
    /// When an entry ends, by its key.
    private var deadlines: [Key: UInt64] = [:]
    /// The keys in the order of their ends, which is that of their coming, as a ring.
    private var order: [Key] = []
    private var oldest = 0

    /// - Parameter random: where the key comes from; the system's generator.
    /// - Returns: nil where libcrypto has no SHA-256.
    package init?(limits: Limits = Limits(), random: inout some RandomNumberGenerator) {
        guard let digest = MessageDigest(.sha256) else { return nil }
        self.limits = limits
        self.digest = digest
        secret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// The key for credentials and the hash that they are, or were, verified with; nil where libcrypto fails,
    /// and then nothing is remembered.
    package mutating func key(_ credentials: BasicCredentials, _ hash: PasswordHash) -> Key? {
        let secret = secret
        digest.begin()
        digest.update(secret.span)
        digest.update(length: credentials.user.count)
        digest.update(credentials.user.span)
        digest.update(length: credentials.password.count)
        digest.update(credentials.password.span)
        digest.update(hash.text.span)
        return digest.finish().flatMap(Key.init)
    }

    /// Whether the credentials of `key` were verified, and not too long ago.
    ///
    /// - Parameter now: nanoseconds of a clock that never goes back.
    package func contains(_ key: Key, now: UInt64) -> Bool {
        deadlines[key].map { now < $0 } ?? false
    }

    /// Remembers that the credentials of `key` have been verified. The oldest entry makes room where it must.
    ///
    /// - Parameter now: nanoseconds of the same clock.
    package mutating func insert(_ key: Key, now: UInt64) {
        guard limits.countMax > 0 else { return }
        let (sum, overflow) = now.addingReportingOverflow(limits.lifetime)
        let deadline = overflow ? UInt64.max : sum
        // One that is verified again keeps its place in the ring, and so may leave before its time.
        guard deadlines.updateValue(deadline, forKey: key) == nil else { return }
        if order.count < limits.countMax {
            order.append(key)
            return
        }
        deadlines[order[oldest]] = nil
        order[oldest] = key
        oldest = (oldest + 1) % order.count
    }

    /// How many entries there are, those past their end among them.
    package var count: Int { deadlines.count }
}
