import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTLS
import Testing

@testable import ChimeraTelemetry

@Suite struct AccessLineTests {
    @Test func `a JSON line holds all that is known of an exchange`() {
        let head = request(
            "POST", Array("/api/x?y=1".utf8),
            fields: [
                (.referer, "http://a/"), (.userAgent, "curl/8"),
            ])
        #expect(
            line(.json, fullRecord(), head, labels: shopLabels) == """
                {"time":"1994-11-06T08:49:37.045Z","id":"0123456789abcdeffedcba9876543210","tenant":"shop",\
                "site":"shop.localhost","route":"/api/*","client":"192.0.2.7","user":"alice","method":"POST",\
                "host":"shop.localhost","path":"/api/x?y=1","protocol":"HTTP/1.1","referer":"http://a/",\
                "user_agent":"curl/8","status":502,"bytes_in":12,"bytes_out":3456,"first_byte_us":120,\
                "total_us":98765,"upstream":{"address":"127.0.0.1:9001","connect_us":0,"first_byte_us":88,\
                "total_us":99},"close":"upstream-broken","refused":"lengths-differ","limit":"sessions",\
                "session":{"id":"ab.1","end":"program","exit":3,"signal":9}}

                """)
    }

    @Test func `a JSON line has no key for what is absent`() {
        #expect(
            line(.json, AccessRecord()) == """
                {"time":"1970-01-01T00:00:00.000Z","client":"unix","method":"GET","host":"shop.localhost",\
                "path":"/","protocol":"HTTP/1.1","status":0,"bytes_in":0,"bytes_out":0,"total_us":0}

                """)
    }

    @Test func `a text line begins as nginx's combined format and goes on with pairs`() {
        let head = request("POST", Array("/api/x?y=1".utf8), fields: [(.userAgent, "curl/8")])
        #expect(
            line(.text, fullRecord(), head, labels: shopLabels) == """
                192.0.2.7 - alice [06/Nov/1994:08:49:37 +0000] "POST /api/x?y=1 HTTP/1.1" 502 3456 \
                "-" "curl/8" host="shop.localhost" tenant="shop" site="shop.localhost" \
                route="/api/*" in=12 first=120us \
                total=98765us upstream="127.0.0.1:9001" upstream-connect=0us upstream-first=88us \
                upstream-total=99us close=upstream-broken refused=lengths-differ limit=sessions \
                session=ab.1 session-end=program session-exit=3 session-signal=9 \
                id=0123456789abcdeffedcba9876543210

                """)
    }

    @Test func `a text line has no pair for what is absent`() {
        #expect(
            line(.text, AccessRecord()) == """
                unix - - [01/Jan/1970:00:00:00 +0000] "GET / HTTP/1.1" 0 0 "-" "-" \
                host="shop.localhost" in=0 total=0us

                """)
    }

    @Test(
        arguments: [
            (
                facts(of: "shop.localhost", isResumed: true),
                ",\"resumed\":true,\"server_name\":\"shop.localhost\"}",
                " tls-resumed=yes tls-name=\"shop.localhost\""
            ),
            (facts(of: ""), ",\"resumed\":false}", " tls-resumed=no"),
            (
                facts(of: "a\"b\n", client: "CN=\u{e4}\",O=\\"),
                ",\"resumed\":false,\"server_name\":\"a\\\"b\\u000a\",\"client\":\"CN=\u{e4}\\\",O=\\\\\"}",
                " tls-resumed=no tls-name=\"a\\x22b\\x0a\" tls-client=\"CN=\\xc3\\xa4\\x22,O=\\x5c\""
            ),
        ] as [(TLSFacts, String, String)])
    func `what a handshake came to is written, and no name breaks the line`(
        tls: TLSFacts, json: String, text: String
    ) {
        var record = AccessRecord()
        record.tls = tls
        let cipher = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        #expect(
            line(.json, record).contains(
                "\"protocol\":\"HTTP/1.1\",\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"\(cipher)\"\(json),\"status\":0"
            ))
        #expect(
            line(.text, record).contains(
                " host=\"shop.localhost\" tls=TLSv1.3 tls-cipher=\(cipher)\(text) in=0 "))
    }

    @Test(
        arguments: [
            (0, "0"), (9, "9"), (10, "10"), (99, "99"), (100, "100"), (12_345, "12345"), (-5, "0"),
            (Int64.max, "9223372036854775807"), (1_000_000_000_000_000_000, "1000000000000000000"),
        ] as [(Int64, String)])
    func `a number is written in base ten`(value: Int64, text: String) {
        let bytes = LineWriter.bytes(forTextOf: 8) { $0.put(decimal: value) }
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test(
        arguments: [
            (0, "0000000000000000"), (0x0a_9f_90_09, "000000000a9f9009"),
            (.max, "ffffffffffffffff"), (0x0123_4567_89ab_cdef, "0123456789abcdef"),
        ] as [(UInt64, String)])
    func `an id is written in sixteen digits for each half`(value: UInt64, text: String) {
        let bytes = LineWriter.bytes(forTextOf: 8) { $0.put(hexadecimal: value) }
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("255.0.10.200", "255.0.10.200"), ("2001:db8::1", "2001:db8::1"),
    ])
    func `a client's address is written as usual`(address: String, text: String) {
        var record = AccessRecord()
        record.client = IPAddress(address)
        #expect(line(.json, record).contains("\"client\":\"\(text)\""))
        #expect(line(.text, record).hasPrefix("\(text) - - ["))
    }

    @Test(arguments: [
        (LoggedProtocol.http10, "HTTP/1.0"), (.http11, "HTTP/1.1"), (.http2, "HTTP/2.0"),
        (.http3, "HTTP/3.0"),
    ])
    func `the protocol's version is written`(version: LoggedProtocol, text: String) {
        var record = AccessRecord()
        record.version = version
        #expect(line(.json, record).contains("\"protocol\":\"\(text)\""))
        #expect(line(.text, record).contains(" / \(text)\""))
    }

    @Test(arguments: Array(1...12))
    func `each month has its number and its name`(month: Int) {
        // The fifteenth of each month of 2023.
        let days = [15, 46, 74, 105, 135, 166, 196, 227, 258, 288, 319, 349]
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        var record = AccessRecord()
        record.seconds = 1_672_531_200 + Int64(days[month - 1] - 1) * 86_400
        let number = month < 10 ? "0\(month)" : "\(month)"
        #expect(line(.json, record).contains("\"time\":\"2023-\(number)-15T00:00:00.000Z\""))
        #expect(line(.text, record).contains("[15/\(names[month - 1])/2023:00:00:00 +0000]"))
    }

    @Test func `a stamp follows the clock, backwards too`() {
        var stamp = LogStamp(.json)
        for second: Int64 in [100, 101, 7, 7] {
            stamp.move(to: second)
            #expect(stamp.bytes[17] == 0x30 + UInt8(second % 60 / 10))
            #expect(stamp.bytes[18] == 0x30 + UInt8(second % 10))
        }
    }

    @Test(
        arguments: [
            (
                "127.0.0.1:9001", "{\"address\":\"127.0.0.1:9001\",\"error\":\"connection-refused\"}",
                " upstream=\"127.0.0.1:9001\" upstream-error=connection-refused\n"
            ),
            (nil, "{\"error\":\"connection-refused\"}", " total=0us upstream-error=connection-refused\n"),
        ] as [(String?, String, String)])
    func `an upstream's error is written, also where there is no address`(
        address: String?, json: String, text: String
    ) {
        var record = AccessRecord()
        record.upstream = address.map { AccessText($0) }
        record.upstreamError = "connection-refused"
        #expect(line(.json, record).hasSuffix(",\"upstream\":\(json)}\n"))
        #expect(line(.text, record).hasSuffix(text))
    }

    @Test(arguments: Refusal.allCases)
    func `each refusal is written with its token`(refusal: Refusal) {
        var record = AccessRecord()
        record.refusal = refusal
        #expect(line(.json, record).contains("\"refused\":\"\(refusal.token)\""))
        #expect(line(.text, record).contains(" refused=\(refusal.token)\n"))
    }

    @Test(arguments: CloseReason.allCases)
    func `each close reason is written with its token`(reason: CloseReason) {
        var record = AccessRecord()
        record.close = reason
        #expect(line(.json, record).contains("\"close\":\"\(reason.token)\""))
        #expect(line(.text, record).contains(" close=\(reason.token)\n"))
    }

    @Test(arguments: [AccessLogFormat.json, .text])
    func `the longest line stays within what is reserved for it`(format: AccessLogFormat) {
        let bad = [UInt8](repeating: 0x01, count: AccessLogLimits.targetBytesMax + 10)
        let badText = String(repeating: "\u{1}", count: 5000)
        var record = fullRecord()
        record.user = badText
        record.client = IPAddress("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff")
        record.bytesIn = .max
        record.bytesOut = .max
        record.firstByteMicroseconds = .max
        record.totalMicroseconds = .max
        record.upstreamError = "http-response-incomplete"
        record.upstreamConnectMicroseconds = .max
        record.upstreamFirstByteMicroseconds = .max
        record.upstreamTotalMicroseconds = .max
        record.tls = facts(of: badText, client: badText)
        let head = request(badText, bad, host: badText, fields: [(.referer, badText), (.userAgent, badText)])
        let reserved = AccessLine(record: record, request: head, labels: shopLabels).worstCaseBytes
        #expect(lineBytes(format, record, head, labels: shopLabels).count <= reserved)
        #expect(reserved <= AccessLogLimits.halfBytes)
    }

    @Test func `what is longer than its bound is cut and marked`() {
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: AccessLogLimits.targetBytesMax + 1)
        let exact = [UInt8](repeating: UInt8(ascii: "a"), count: AccessLogLimits.targetBytesMax)
        #expect(line(.json, AccessRecord(), request("GET", long)).contains("aaa\u{2026}\",\"protocol\""))
        #expect(line(.json, AccessRecord(), request("GET", exact)).contains("aaa\",\"protocol\""))
        #expect(line(.text, AccessRecord(), request("GET", long)).contains("aaa... HTTP/1.1\""))
        #expect(line(.text, AccessRecord(), request("GET", exact)).contains("aaa HTTP/1.1\""))
    }
}
