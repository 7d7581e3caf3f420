import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTLS

@testable import ChimeraTelemetry

/// A request head as a wire would have filled it.
func request(
    _ method: String = "GET", _ target: [UInt8] = Array("/".utf8), host: String = "shop.localhost",
    fields: [(FieldName, String)] = []
) -> RequestHead {
    let head = RequestHead()
    head.methodBytes = head.store(Array(method.utf8).span)
    head.method = Method(Array(method.utf8).span)
    head.target = head.store(target.span)
    head.authority = head.store(Array(host.utf8).span)
    for (name, value) in fields { head.add(name, Array(value.utf8).span) }
    return head
}

/// A record with every number set.
func fullRecord() -> AccessRecord {
    var record = AccessRecord()
    record.seconds = 784_111_777
    record.nanoseconds = 45_999_999
    record.idHigh = 0x0123_4567_89ab_cdef
    record.idLow = 0xfedc_ba98_7654_3210
    record.client = IPAddress("192.0.2.7")
    record.user = "alice"
    record.status = 502
    record.bytesIn = 12
    record.bytesOut = 3456
    record.firstByteMicroseconds = 120
    record.totalMicroseconds = 98_765
    record.upstream = AccessText("127.0.0.1:9001")
    record.upstreamConnectMicroseconds = 0
    record.upstreamFirstByteMicroseconds = 88
    record.upstreamTotalMicroseconds = 99
    record.close = .upstreamBroken
    record.refusal = .lengthsDiffer
    record.limit = .sessions
    record.session = LoggedSession(id: "ab.1", end: "program", exitStatus: 3, signal: 9)
    return record
}

/// What a handshake came to, of a name and perhaps a client's certificate.
func facts(
    of name: String, client: String = "", isResumed: Bool = false
) -> TLSFacts {
    TLSFacts(
        version: "TLSv1.3", cipher: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", isResumed: isResumed,
        serverName: Array(name.utf8), clientSubject: Array(client.utf8))
}

let shopLabels = AccessLabels(tenant: "shop", site: "shop.localhost", route: "/api/*")

/// The line that a record becomes.
func line(
    _ format: AccessLogFormat, _ record: AccessRecord, _ request: RequestHead = request(),
    labels: AccessLabels = .none
) -> String {
    String(decoding: lineBytes(format, record, request, labels: labels), as: UTF8.self)
}

func lineBytes(
    _ format: AccessLogFormat, _ record: AccessRecord, _ request: RequestHead, labels: AccessLabels = .none
) -> [UInt8] {
    let line = AccessLine(record: record, request: request, labels: labels)
    var stamp = LogStamp(format)
    stamp.move(to: record.seconds)
    return [UInt8](unsafeUninitializedCapacity: line.worstCaseBytes) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        var writer = LineWriter(at: base)
        switch format {
        case .json: line.writeJSON(stamp.bytes, into: &writer)
        case .text: line.writeText(stamp.bytes, into: &writer)
        }
        count = writer.cursor - base
    }
}
