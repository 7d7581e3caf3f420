internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

extension GatewayWorker {
    /// Counts an exchange that ended, and writes it to the access log.
    func finished(_ transaction: Transaction) {
        let context = transaction.context
        let status = transaction.hasAnswer ? transaction.response.status : 0
        counters.exchangeEnded(
            context.site?.slot ?? .shared,
            route: context.route?.slot ?? context.site?.routelessSlot ?? .shared,
            status: status, bytesIn: transaction.bytesIn, bytesOut: transaction.bytesOut,
            nanoseconds: worker.nanoseconds - transaction.startedAt)
        let refusal = transaction.refusal ?? context.refusal
        if let refusal { counters.add(refusal) }
        if let hit = context.limitHit { counters.add(hit) }
        if transaction.upstreamFigures.retries > 0 { counters.add(.upstreamRetries) }
        guard let log, (context.settings ?? dispatcher.machineSettings).logAccess else { return }
        let labels = context.route?.labels ?? context.site?.labels ?? .none
        log.append(record(transaction, status, refusal), request: transaction.request, labels: labels)
    }

    private func record(_ transaction: Transaction, _ status: Int, _ refusal: Refusal?) -> AccessRecord {
        let context = transaction.context
        var record = AccessRecord()
        let now = worker.nanoseconds
        stamp(&record, before: now - transaction.startedAt)
        let id = context.id
        record.idHigh = id.high
        record.idLow = id.low
        record.client = context.client
        if !context.user.isEmpty { record.user = String(copying: context[context.user]) }
        record.version = version(of: transaction.request)
        record.tls = context.tls?.facts
        record.status = status
        record.bytesIn = transaction.bytesIn
        record.bytesOut = transaction.bytesOut
        if status != 0 {
            let first = transaction.answeredAt == 0 ? now : transaction.answeredAt
            record.firstByteMicroseconds = max(0, first - transaction.startedAt) / 1_000
        }
        record.totalMicroseconds = max(0, now - transaction.startedAt) / 1_000
        record.close = transaction.closeReason
        record.refusal = refusal
        record.limit = context.limitHit
        record.session = transaction.session
        describeUpstream(transaction.upstreamFigures, in: &record)
        return record
    }

    private func version(of request: RequestHead) -> LoggedProtocol {
        if request.majorVersion == 2 { return .http2 }
        if request.majorVersion == 0 { return .stream }
        return request.minorVersion == 0 ? .http10 : .http11
    }

    /// Sets the wall clock's time of so many nanoseconds before now.
    private func stamp(_ record: inout AccessRecord, before elapsed: Int64) {
        record.seconds = worker.wallSeconds
        record.nanoseconds = worker.wallNanoseconds - max(0, elapsed)
        guard record.nanoseconds < 0 else { return }
        let borrowed = (999_999_999 - record.nanoseconds) / 1_000_000_000
        record.seconds -= borrowed
        record.nanoseconds += borrowed * 1_000_000_000
    }

    private func describeUpstream(_ figures: UpstreamFigures, in record: inout AccessRecord) {
        guard figures.startedAt != 0 else { return }
        if let address = figures.address { record.upstream = addressText(address) }
        record.upstreamError = figures.error?.token
        guard figures.connectedAt != 0 else { return }
        record.upstreamConnectMicroseconds = (figures.connectedAt - figures.startedAt) / 1_000
        if figures.answeredAt != 0 {
            record.upstreamFirstByteMicroseconds = (figures.answeredAt - figures.connectedAt) / 1_000
        }
        record.upstreamTotalMicroseconds = (figures.endedAt - figures.startedAt) / 1_000
    }

    /// The text of an endpoint, made once for each.
    private func addressText(_ address: SocketAddress) -> AccessText {
        if let known = addressTexts[address] { return known }
        if addressTexts.count >= GatewayWorker.addressTextsMax { addressTexts.removeAll() }
        let text: String
        switch address {
        case .ip(let ip, let port): text = ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .unix(let path): text = "unix:\(path)"
        }
        let made = AccessText(text)
        addressTexts[address] = made
        return made
    }
}

extension String {
    /// The text of UTF-8 bytes; what is none is replaced.
    init(copying bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
