internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import ChimeraTLS

/// How the lines of the access log look.
package enum AccessLogFormat: Sendable {
    /// One JSON object a line; what is absent has no key.
    case json
    /// nginx's combined format, and then `key=value` for what that does not have.
    case text
}

/// One record, its request and its labels, on their way to become a line.
struct AccessLine: ~Copyable {
    let record: AccessRecord
    let request: RequestHead
    let labels: AccessLabels

    /// The most bytes that the line can have, in either format.
    var worstCaseBytes: Int {
        let texts =
            min(request.target.count, UInt32(AccessLogLimits.targetBytesMax))
            + min(request.methodBytes.count, UInt32(AccessLogLimits.methodBytesMax))
            + min(request.authority.count, UInt32(AccessLogLimits.nameBytesMax))
        var bytes = Int(texts) + fieldBytes(.referer) + fieldBytes(.userAgent)
        if let user = record.user { bytes += min(user.utf8.count, AccessLogLimits.nameBytesMax) }
        if let tls = record.tls {
            bytes += min(tls.serverName.count, AccessLogLimits.nameBytesMax)
            bytes += min(tls.clientSubject.count, AccessLogLimits.nameBytesMax)
        }
        if let session = record.session { bytes += min(session.id.utf8.count, AccessLogLimits.nameBytesMax) }
        return AccessLine.fixedBytesMax + bytes * LineWriter.expansionMax
            + max(labels.json.count, labels.text.count)
            + max(record.upstream?.json.count ?? 0, record.upstream?.text.count ?? 0)
    }

    /// Keys, numbers, tokens and addresses of the longest line: about 900 bytes in JSON, and 650 in text.
    static let fixedBytesMax = 1024

    private func fieldBytes(_ name: FieldName) -> Int {
        guard let value = request[name] else { return 0 }
        return min(value.count, AccessLogLimits.fieldBytesMax)
    }

    // MARK: JSON

    func writeJSON(_ stamp: InlineArray<26, UInt8>, into line: inout LineWriter) {
        line.put("{\"time\":\"")
        line.put(stamp, count: 19)
        line.put(".")
        line.put(milliseconds: record.nanoseconds / 1_000_000)
        line.put("Z\",")
        if record.idHigh | record.idLow != 0 {
            line.put("\"id\":\"")
            line.put(hexadecimal: record.idHigh)
            line.put(hexadecimal: record.idLow)
            line.put("\",")
        }
        line.put(ready: labels.json)
        line.put("\"client\":\"")
        writeClient(into: &line)
        if let user = record.user {
            line.put("\",\"user\":\"")
            line.put(json: user, max: AccessLogLimits.nameBytesMax)
        }
        writeJSONRequest(into: &line)
        if let tls = record.tls { writeJSON(tls, into: &line) }
        writeJSONNumbers(into: &line)
        if record.upstream != nil || record.upstreamError != nil { writeJSONUpstream(into: &line) }
        writeJSONReasons(into: &line)
        line.put("}\n")
    }

    private func writeJSONRequest(into line: inout LineWriter) {
        line.put("\",\"method\":\"")
        if request.method == .get {
            line.put("GET")
        } else {
            line.put(json: request[request.methodBytes], max: AccessLogLimits.methodBytesMax)
        }
        line.put("\",\"host\":\"")
        line.put(json: request[request.authority], max: AccessLogLimits.nameBytesMax)
        line.put("\",\"path\":\"")
        line.put(json: request[request.target], max: AccessLogLimits.targetBytesMax)
        line.put("\",\"protocol\":\"")
        line.put(record.version.text)
        if let referer = request[.referer] {
            line.put("\",\"referer\":\"")
            line.put(json: referer, max: AccessLogLimits.fieldBytesMax)
        }
        if let agent = request[.userAgent] {
            line.put("\",\"user_agent\":\"")
            line.put(json: agent, max: AccessLogLimits.fieldBytesMax)
        }
        line.put("\"")
    }

    private func writeJSON(_ tls: TLSFacts, into line: inout LineWriter) {
        line.put(",\"tls\":{\"version\":\"")
        line.put(tls.version)
        line.put("\",\"cipher\":\"")
        line.put(tls.cipher)
        line.put(tls.isResumed ? "\",\"resumed\":true" : "\",\"resumed\":false")
        if !tls.serverName.isEmpty {
            line.put(",\"server_name\":\"")
            let name = tls.serverName
            line.put(json: name.span, max: AccessLogLimits.nameBytesMax)
            line.put("\"")
        }
        if !tls.clientSubject.isEmpty {
            line.put(",\"client\":\"")
            let name = tls.clientSubject
            line.put(json: name.span, max: AccessLogLimits.nameBytesMax)
            line.put("\"")
        }
        line.put("}")
    }

    private func writeJSONNumbers(into line: inout LineWriter) {
        line.put(",\"status\":")
        line.put(decimal: Int64(record.status))
        line.put(",\"bytes_in\":")
        line.put(decimal: Int64(record.bytesIn))
        line.put(",\"bytes_out\":")
        line.put(decimal: Int64(record.bytesOut))
        if record.firstByteMicroseconds >= 0 {
            line.put(",\"first_byte_us\":")
            line.put(decimal: record.firstByteMicroseconds)
        }
        line.put(",\"total_us\":")
        line.put(decimal: record.totalMicroseconds)
    }

    private func writeJSONUpstream(into line: inout LineWriter) {
        line.put(",\"upstream\":{")
        if let upstream = record.upstream {
            line.put("\"address\":\"")
            line.put(ready: upstream.json)
            line.put("\"")
        }
        if let error = record.upstreamError {
            // A name that does not resolve has no address.
            if record.upstream != nil { line.put(",") }
            line.put("\"error\":\"")
            line.put(error)
            line.put("\"")
        }
        if record.upstreamConnectMicroseconds >= 0 {
            line.put(",\"connect_us\":")
            line.put(decimal: record.upstreamConnectMicroseconds)
        }
        if record.upstreamFirstByteMicroseconds >= 0 {
            line.put(",\"first_byte_us\":")
            line.put(decimal: record.upstreamFirstByteMicroseconds)
        }
        if record.upstreamTotalMicroseconds >= 0 {
            line.put(",\"total_us\":")
            line.put(decimal: record.upstreamTotalMicroseconds)
        }
        line.put("}")
    }

    private func writeJSONReasons(into line: inout LineWriter) {
        if let close = record.close {
            line.put(",\"close\":\"")
            line.put(close.token)
            line.put("\"")
        }
        if let refusal = record.refusal {
            line.put(",\"refused\":\"")
            line.put(ready: AccessText.refusals[Int(refusal.rawValue)].json)
            line.put("\"")
        }
        if let limit = record.limit {
            line.put(",\"limit\":\"")
            line.put(limit.token)
            line.put("\"")
        }
        if let session = record.session { writeJSON(session, into: &line) }
    }

    private func writeJSON(_ session: LoggedSession, into line: inout LineWriter) {
        line.put(",\"session\":{\"id\":\"")
        line.put(json: session.id, max: AccessLogLimits.nameBytesMax)
        line.put("\",\"end\":\"")
        line.put(session.end)
        line.put("\"")
        if let status = session.exitStatus {
            line.put(",\"exit\":")
            line.put(decimal: Int64(status))
        }
        if let signal = session.signal {
            line.put(",\"signal\":")
            line.put(decimal: Int64(signal))
        }
        line.put("}")
    }

    // MARK: Text

    func writeText(_ stamp: InlineArray<26, UInt8>, into line: inout LineWriter) {
        writeClient(into: &line)
        line.put(" - ")
        line.put(text: record.user ?? "", max: AccessLogLimits.nameBytesMax, asWord: true)
        line.put(" [")
        line.put(stamp, count: 26)
        line.put("] \"")
        writeTextRequest(into: &line)
        line.put("\" ")
        line.put(decimal: Int64(record.status))
        line.put(" ")
        line.put(decimal: Int64(record.bytesOut))
        writeText(.referer, into: &line)
        writeText(.userAgent, into: &line)
        line.put(" host=\"")
        line.put(text: request[request.authority], max: AccessLogLimits.nameBytesMax)
        line.put("\"")
        line.put(ready: labels.text)
        if let tls = record.tls { writeText(tls, into: &line) }
        writeTextNumbers(into: &line)
        if record.upstream != nil || record.upstreamError != nil { writeTextUpstream(into: &line) }
        writeTextReasons(into: &line)
        line.put("\n")
    }

    private func writeTextRequest(into line: inout LineWriter) {
        line.put(text: request[request.methodBytes], max: AccessLogLimits.methodBytesMax)
        line.put(" ")
        line.put(text: request[request.target], max: AccessLogLimits.targetBytesMax)
        line.put(" ")
        line.put(record.version.text)
    }

    private func writeText(_ name: FieldName, into line: inout LineWriter) {
        line.put(" \"")
        if let value = request[name] {
            line.put(text: value, max: AccessLogLimits.fieldBytesMax)
        } else {
            line.put("-")
        }
        line.put("\"")
    }

    private func writeText(_ tls: TLSFacts, into line: inout LineWriter) {
        line.put(" tls=")
        line.put(tls.version)
        line.put(" tls-cipher=")
        line.put(tls.cipher)
        line.put(tls.isResumed ? " tls-resumed=yes" : " tls-resumed=no")
        if !tls.serverName.isEmpty {
            line.put(" tls-name=\"")
            let name = tls.serverName
            line.put(text: name.span, max: AccessLogLimits.nameBytesMax)
            line.put("\"")
        }
        if !tls.clientSubject.isEmpty {
            line.put(" tls-client=\"")
            let name = tls.clientSubject
            line.put(text: name.span, max: AccessLogLimits.nameBytesMax)
            line.put("\"")
        }
    }

    private func writeTextNumbers(into line: inout LineWriter) {
        line.put(" in=")
        line.put(decimal: Int64(record.bytesIn))
        if record.firstByteMicroseconds >= 0 {
            line.put(" first=")
            line.put(decimal: record.firstByteMicroseconds)
            line.put("us")
        }
        line.put(" total=")
        line.put(decimal: record.totalMicroseconds)
        line.put("us")
    }

    private func writeTextUpstream(into line: inout LineWriter) {
        if let upstream = record.upstream {
            line.put(" upstream=\"")
            line.put(ready: upstream.text)
            line.put("\"")
        }
        if let error = record.upstreamError {
            line.put(" upstream-error=")
            line.put(error)
        }
        if record.upstreamConnectMicroseconds >= 0 {
            line.put(" upstream-connect=")
            line.put(decimal: record.upstreamConnectMicroseconds)
            line.put("us")
        }
        if record.upstreamFirstByteMicroseconds >= 0 {
            line.put(" upstream-first=")
            line.put(decimal: record.upstreamFirstByteMicroseconds)
            line.put("us")
        }
        if record.upstreamTotalMicroseconds >= 0 {
            line.put(" upstream-total=")
            line.put(decimal: record.upstreamTotalMicroseconds)
            line.put("us")
        }
    }

    private func writeTextReasons(into line: inout LineWriter) {
        if let close = record.close {
            line.put(" close=")
            line.put(close.token)
        }
        if let refusal = record.refusal {
            line.put(" refused=")
            line.put(ready: AccessText.refusals[Int(refusal.rawValue)].text)
        }
        if let limit = record.limit {
            line.put(" limit=")
            line.put(limit.token)
        }
        if let session = record.session { writeText(session, into: &line) }
        if record.idHigh | record.idLow != 0 {
            line.put(" id=")
            line.put(hexadecimal: record.idHigh)
            line.put(hexadecimal: record.idLow)
        }
    }

    private func writeText(_ session: LoggedSession, into line: inout LineWriter) {
        line.put(" session=")
        line.put(text: session.id, max: AccessLogLimits.nameBytesMax, asWord: true)
        line.put(" session-end=")
        line.put(session.end)
        if let status = session.exitStatus {
            line.put(" session-exit=")
            line.put(decimal: Int64(status))
        }
        if let signal = session.signal {
            line.put(" session-signal=")
            line.put(decimal: Int64(signal))
        }
    }

    // MARK: Both

    private func writeClient(into line: inout LineWriter) {
        guard let client = record.client else { return line.put("unix") }
        if let v4 = client.v4 {
            line.put(decimal: Int64(v4 >> 24))
            line.put(".")
            line.put(decimal: Int64(v4 >> 16 & 0xFF))
            line.put(".")
            line.put(decimal: Int64(v4 >> 8 & 0xFF))
            line.put(".")
            line.put(decimal: Int64(v4 & 0xFF))
        } else {
            // An IPv6 address goes through a String: a few hundred nanoseconds, and short of a second writer.
            line.put(text: client.description, max: AccessLogLimits.nameBytesMax)
        }
    }
}

/// The second of a record as text, made once a second.
struct LogStamp {
    private let format: AccessLogFormat
    private var seconds = Int64.min
    /// `2026-01-02T03:04:05` for JSON, and nginx's `02/Jan/2026:03:04:05 +0000` for text.
    private(set) var bytes = InlineArray<26, UInt8>(repeating: 0x20)

    init(_ format: AccessLogFormat) { self.format = format }

    @inline(__always)
    mutating func move(to second: Int64) {
        if second != seconds { render(second) }
    }

    private mutating func render(_ second: Int64) {
        seconds = second
        // `Sun, 06 Nov 1994 08:49:37 GMT`
        let date = HTTPDate.format(second)
        switch format {
        case .json:
            let month = LogStamp.month(date[8], date[9], date[10])
            let digits: [5 of UInt8] = [0x2D, 0x30 + month / 10, 0x30 + month % 10, 0x2D, date[5]]
            for index in 0..<4 { bytes[index] = date[12 + index] }
            for index in 0..<5 { bytes[4 + index] = digits[index] }
            bytes[9] = date[6]
            bytes[10] = UInt8(ascii: "T")
            for index in 0..<8 { bytes[11 + index] = date[17 + index] }
        case .text:
            for index in 0..<11 { bytes[index] = index == 2 || index == 6 ? 0x2F : date[5 + index] }
            bytes[11] = UInt8(ascii: ":")
            for index in 0..<8 { bytes[12 + index] = date[17 + index] }
            let zone: StaticString = " +0000"
            for index in 0..<6 { bytes[20 + index] = zone.utf8Start[index] }
        }
    }

    /// 1 to 12, of the name's three letters.
    private static func month(_ first: UInt8, _ second: UInt8, _ third: UInt8) -> UInt8 {
        let names: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
        for month in 0..<12 {
            let name = names.utf8Start + month * 3
            if name[0] == first && name[1] == second && name[2] == third { return UInt8(month + 1) }
        }
        return 0
    }
}

extension LineWriter {
    @inline(__always)
    mutating func put(_ stamp: InlineArray<26, UInt8>, count: Int) {
        for index in 0..<count { put(byte: stamp[index]) }
    }
}
