internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// What all workers of a gateway share; each part is made for sharing.
struct SharedParts: Sendable {
    /// For files.
    let pool: BlockingPool
    /// For hashes of passwords.
    let passwordPool: BlockingPool
    let resolver: Resolver
    let counters: CounterBoard
    let log: AccessLogWriter?
    /// What the verb `welcome` shows, and where the counts come from.
    let welcome: WelcomeSource
    /// How many connections each worker has.
    let loads: WorkerLoads
    let handover: Handover
    /// What limits count in.
    let limits: LimitTables
    /// What `metrics ADDRESS` shows.
    let metrics: MetricsSource
    /// What keys of session tickets come from.
    let tickets: TicketSecret
    /// What `tls internal` takes its certificates from.
    let authority: AuthoritySource
    /// Who starts programs.
    let programs: any ProgramSource
    /// Programs that do not belong to one connection.
    let kept: KeptPrograms
    /// Where lines of programs go that nobody else takes.
    let programLog: ProgramLog
    /// Told once when a worker's last connection has ended while it drains.
    let drained: @Sendable (Int) -> Void
}
