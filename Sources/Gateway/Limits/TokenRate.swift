internal import ChimeraConfiguration

/// A bucket of tokens as one number: the time at which it would be full again (the generic cell rate algorithm).
///
/// ```
///   full = time at which the bucket is full      taking a token moves it by `interval`
///   now ──────────┬───────────────▶ time         admitted while full - now ≤ tolerance
///                 ╰ full ≤ now: it is full
/// ```
/// A bucket that is full needs no memory, which is what lets a table forget it.
struct TokenRate: Equatable, Sendable {
    /// Nanoseconds for one token to come.
    let interval: Int64
    /// Nanoseconds by which a bucket may be from full for a token to be in it.
    let tolerance: Int64

    /// - Parameters:
    ///   - rate: tokens in a time.
    ///   - burst: how many the bucket holds, at least 1.
    init(_ rate: Rate, burst: Int) {
        let (period, isLong) = rate.milliseconds.multipliedReportingOverflow(by: 1_000_000)
        interval = max(1, (isLong ? Self.longest : period) / Int64(max(1, rate.count)))
        let (tolerance, isGreat) = interval.multipliedReportingOverflow(by: Int64(max(1, burst) - 1))
        self.tolerance = isGreat ? Self.longest : min(tolerance, Self.longest)
    }

    /// Nanoseconds by which the clocks of two workers may differ.
    private static let slack: Int64 = 10_000_000
    /// A hundred years.
    private static let longest: Int64 = 3_153_600_000_000_000_000

    /// How long it takes until there is a token, in nanoseconds; nil: there is one.
    ///
    /// Workers read the clock once in a turn, so that the time of one may be behind that of another by a moment. A token
    /// therefore comes that much early, by less than would make two of one.
    func wait(full: Int64, now: Int64) -> Int64? {
        let wait = full - now - tolerance
        return wait > min(Self.slack, interval / 2) ? wait : nil
    }

    /// When the bucket is full once a token is taken.
    func taking(full: Int64, now: Int64) -> Int64 { max(full, now) + interval }
}
