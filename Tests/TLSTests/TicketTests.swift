import Testing

@testable import ChimeraTLS

@Suite struct TicketTests {
    private let now: Int64 = 1_700_000_000
    private let period = TicketSecret.periodSeconds

    private func keys(_ secret: TicketSecret, at time: Int64, _ binding: [UInt8] = [1]) -> TicketKeys {
        TicketKeys(secret.seeds(now: time).current, binding: binding)
    }

    @Test func `two processes with one seed derive the same keys, now and later`() {
        let first = TicketSecret(now: now)
        let second = TicketSecret(first.seed(now: now))
        for later in [0, period, 3 * period, 50 * period] {
            let (a, b) = (keys(first, at: now + later), keys(second, at: now + later))
            #expect(a.name == b.name && a.cipher == b.cipher && a.mac == b.mac)
        }
    }

    @Test func `keys differ by period, by binding and by use`() {
        let secret = TicketSecret(now: now)
        let one = keys(secret, at: now)
        let later = keys(secret, at: now + period)
        let other = keys(secret, at: now + period, [2])
        let all = [one, later, other].flatMap { [$0.name + $0.name, $0.cipher, $0.mac] }
        #expect(Set(all).count == all.count)
    }

    @Test func `the period before is remembered, and earlier ones are not`() {
        let secret = TicketSecret(now: now)
        let current = TicketSecret.period(at: now)
        let seeds = secret.seeds(now: now)
        #expect(seeds.current.period == current && seeds.before.period == current - 1)
        #expect(secret.seeds(now: now + period).before == seeds.current)
        #expect(secret.seeds(now: now + 2 * period).before.period == current + 1)
    }

    @Test(arguments: [100, 2 * 86_400, 365 * 86_400])
    func `a clock that is put back finds the latest keys, also at a site that had none`(seconds: Int64) {
        let secret = TicketSecret(now: now)
        let site = TLSSite(certificates: .fixed([]), identity: [1], tickets: secret)
        let known = site.sealingKeys(now: now)
        #expect(site.sealingKeys(now: now - seconds).name == known.name)
        let fresh = TLSSite(certificates: .fixed([]), identity: [1], tickets: secret)
        #expect(fresh.sealingKeys(now: now - seconds).name == known.name)
        let found = known.name.withUnsafeBufferPointer { fresh.keys(named: $0, now: now - seconds) }
        #expect(found?.isCurrent == true)
        #expect(fresh.sealingKeys(now: now + period).name != known.name)
    }

    @Test func `a clock that leaps by centuries keeps nobody busy`() {
        let secret = TicketSecret(now: 0)
        #expect(secret.seeds(now: .max / 2).current.period == TicketSecret.period(at: .max / 2))
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
