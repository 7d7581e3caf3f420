import Testing

@testable import ChimeraTLS

@Suite struct TicketTests {
    private let now: Int64 = 1_700_000_000
    private let period = TicketSecret.periodSeconds

    private func keys(_ secret: TicketSecret, at time: Int64, _ binding: [UInt8] = [1]) -> TicketKeys? {
        TicketKeys(secret, period: TicketSecret.period(at: time), now: time, binding: binding)
    }

    @Test func `two processes with one seed derive the same keys, now and later`() throws {
        let first = TicketSecret(now: now)
        let second = TicketSecret(first.seed(now: now))
        for later in [0, period, 3 * period, 50 * period] {
            let (a, b) = (
                try #require(keys(first, at: now + later)), try #require(keys(second, at: now + later))
            )
            #expect(a.name == b.name && a.cipher == b.cipher && a.mac == b.mac)
        }
    }

    @Test func `keys differ by period, by binding and by use`() throws {
        let secret = TicketSecret(now: now)
        let one = try #require(keys(secret, at: now))
        let later = try #require(keys(secret, at: now + period))
        let other = try #require(keys(secret, at: now + period, [2]))
        let all = [one, later, other].flatMap { [$0.name + $0.name, $0.cipher, $0.mac] }
        #expect(Set(all).count == all.count)
    }

    @Test func `the period before is remembered, and earlier ones are not`() {
        let secret = TicketSecret(now: now)
        let current = TicketSecret.period(at: now)
        #expect(secret.secret(of: current - 1, now: now) != nil)
        #expect(secret.secret(of: current - 2, now: now) == nil)
        _ = secret.seed(now: now + 2 * period)
        #expect(secret.secret(of: current, now: now + 2 * period) == nil)
        #expect(secret.secret(of: current + 1, now: now + 2 * period) != nil)
    }

    @Test func `a clock that goes back a little finds keys still`() {
        let secret = TicketSecret(now: now)
        #expect(secret.secret(of: TicketSecret.period(at: now), now: now) != nil)
        #expect(secret.secret(of: TicketSecret.period(at: now), now: now - 100) != nil)
    }

    @Test func `a clock that leaps by centuries keeps nobody busy`() {
        let secret = TicketSecret(now: 0)
        #expect(secret.secret(of: TicketSecret.period(at: .max / 2), now: .max / 2) != nil)
    }

    @Test func `a seed of another length is none`() {
        #expect(TicketSecret.Seed(period: 1, secret: [1, 2, 3]) == nil)
        #expect(TicketSecret.Seed(period: -1, secret: .init(repeating: 0, count: 32)) == nil)
    }

    @Test func `sites that ask for the same have one demand`() {
        let plain = TLSSite.demand(profile: .intermediate, clients: nil)
        let known = TLSSite.demand(
            profile: .intermediate, clients: ClientTrust.identity(authorities: [1], isRequired: true))
        let asked = TLSSite.demand(
            profile: .intermediate, clients: ClientTrust.identity(authorities: [1], isRequired: false))
        let other = TLSSite.demand(
            profile: .intermediate, clients: ClientTrust.identity(authorities: [2], isRequired: true))
        let modern = TLSSite.demand(profile: .modern, clients: nil)
        #expect(plain == 0)
        #expect(Set([plain, known, asked, other, modern]).count == 5)
    }
}
