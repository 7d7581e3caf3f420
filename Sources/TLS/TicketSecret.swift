internal import COpenSSL
internal import Synchronization

/// The secret from which the keys of session tickets come: all workers and all data planes of one service derive the
/// same keys from it, at the same time, without telling each other.
///
/// ```
///  period n      ── one-way ──▶   n + 1     ── one-way ──▶   n + 2 …
///     │ site                        │ site
///     ▼                             ▼
///  name, cipher key, MAC key     name, cipher key, MAC key
/// ```
/// A period is half a day. Tickets are sealed with the keys of the present one and opened with those of the one before
/// as well. Secrets of earlier periods are forgotten, and cannot be found from later ones. The keys of a site are its
/// own, so that a ticket is worth nothing at another.
package final class TicketSecret: Sendable {
    /// A period's number and its secret of 32 bytes.
    package struct Seed: Equatable, Sendable {
        package var period: Int64
        package var secret: [UInt8]

        package init?(period: Int64, secret: [UInt8]) {
            guard period >= 0, secret.count == TicketSecret.secretBytes else { return nil }
            (self.period, self.secret) = (period, secret)
        }

        /// - Parameter secret: has `secretBytes`.
        fileprivate init(trusted secret: [UInt8], period: Int64) {
            (self.period, self.secret) = (period, secret)
        }
    }

    private struct State {
        /// Of the period before the latest one that was asked for.
        var seed: Seed
    }

    package static let secretBytes = 32
    /// Seconds for which a ticket is sealed with the same keys.
    package static let periodSeconds: Int64 = 43_200
    private static let label = Array("chimera ticket secret".utf8)

    private let state: Mutex<State>

    package init(_ seed: Seed) { state = Mutex(State(seed: seed)) }

    /// A new secret.
    ///
    /// - Parameter now: seconds since 1970.
    package convenience init(now: Int64) {
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<Self.secretBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
        self.init(Seed(trusted: secret, period: Self.period(at: now) - 1))
    }

    /// Another process' secret takes the place of this one. Keys that were derived before stay what they are, so this
    /// comes before any.
    package func adopt(_ seed: Seed) { state.withLock { $0.seed = seed } }

    /// The number of the period in which a moment lies.
    package static func period(at seconds: Int64) -> Int64 { max(1, seconds / periodSeconds) }

    /// What another process needs to derive the same keys from this moment on.
    package func seed(now: Int64) -> Seed {
        state.withLock { state in
            Self.advance(&state.seed, to: Self.period(at: now) - 1)
            return state.seed
        }
    }

    /// The secrets of the present period and of the one before. A clock that was put back finds those of the latest
    /// period that there was: what is forgotten stays so.
    func seeds(now: Int64) -> (current: Seed, before: Seed) {
        let before = seed(now: now)
        var current = before
        Self.advance(&current, to: before.period + 1)
        return (current, before)
    }

    private static func advance(_ seed: inout Seed, to period: Int64) {
        // A clock that was wrong by years must not keep a worker busy for as long.
        guard period - seed.period < 100_000 else {
            seed.period = period
            seed.secret = hmac(seed.secret, label + Array("\(period)".utf8))
            return
        }
        while seed.period < period {
            seed.secret = hmac(seed.secret, label)
            seed.period += 1
        }
    }

    /// HMAC-SHA-256 with a key of 32 bytes.
    static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        precondition(key.count == secretBytes)
        var result = [UInt8](repeating: 0, count: 32)
        let isMade = chimera_hmac(key, message, message.count, &result)
        precondition(isMade, "libcrypto has no HMAC-SHA-256")
        return result
    }
}

/// What seals the tickets of one site in one period.
struct TicketKeys {
    let period: Int64
    /// What a ticket begins with, by which its keys are known again.
    let name: [UInt8]
    let cipher: [UInt8]
    let mac: [UInt8]

    static let nameBytes = 16

    /// - Parameter binding: what tells the site and its demands on clients from others.
    init(_ seed: TicketSecret.Seed, binding: [UInt8]) {
        let key = seed.secret
        period = seed.period
        name = Array(TicketSecret.hmac(key, Array("name ".utf8) + binding).prefix(Self.nameBytes))
        cipher = TicketSecret.hmac(key, Array("cipher ".utf8) + binding)
        mac = TicketSecret.hmac(key, Array("mac ".utf8) + binding)
    }
}
