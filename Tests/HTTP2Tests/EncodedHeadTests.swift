import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

/// The blocks of heads that were sent before: each has to be what its head would be encoded to.
struct EncodedHeadTests {
    private func head(status: Int, length: Int, _ fields: [(String, String)]) -> ResponseHead {
        let head = ResponseHead()
        head.reset(status: status)
        head.body = .known(length)
        for (name, value) in fields { head.add(name: Array(name.utf8).span, value: Array(value.utf8).span) }
        return head
    }

    /// Sends heads on streams of their own, and decodes what a client would read of each.
    private func fields(
        of heads: [(ResponseHead, Method, InlineArray<29, UInt8>)], on client: Client = Client(),
        from first: UInt32 = 1, resize: [Int: UInt32] = [:]
    ) throws -> [[String]] {
        var found: [[String]] = []
        for (index, (head, method, date)) in heads.enumerated() {
            if let size = resize[index] { client.feed(frame(.settings, setting(1, size))) }
            let stream = client.open(first + UInt32(index) * 2)
            client.connection.sendHead(stream, head, answering: method, date: date)
            let block = try #require(client.sent().last { $0.type == FrameType.headers.rawValue })
            found.append(try client.fields(block))
            client.connection.reset(stream, .cancel)
            client.connection.output.clear()
        }
        return found
    }

    private static let day = HTTPDate.format(0)
    private static let next = HTTPDate.format(86_400)

    @Test func `the same head is the same fields, again and again`() throws {
        let first = head(status: 200, length: 5, [("content-type", "text/plain"), ("x-test", "one")])
        let found = try fields(of: (0..<8).map { _ in (first, .get, Self.day) })
        #expect(Set(found).count == 1)
        #expect(found[0].contains("x-test: one") && found[0].contains("content-length: 5"))
    }

    @Test func `heads that differ in anything are told apart`() throws {
        let plain: [(String, String)] = [("content-type", "text/plain"), ("etag", "\"1\"")]
        let heads: [(ResponseHead, Method, InlineArray<29, UInt8>)] = [
            (head(status: 200, length: 5, plain), .get, Self.day),
            (head(status: 404, length: 5, plain), .get, Self.day),
            (head(status: 200, length: 9, plain), .get, Self.day),
            (head(status: 200, length: 5, plain), .get, Self.next),
            (
                head(status: 200, length: 5, [("content-type", "text/plain"), ("etag", "\"2\"")]), .get,
                Self.day
            ),
            (
                head(status: 200, length: 5, [("content-typ", "etext/plain"), ("etag", "\"1\"")]), .get,
                Self.day
            ),
            (head(status: 200, length: 5, [("content-type", "text/plain")]), .get, Self.day),
        ]
        let client = Client()
        let first = try fields(of: heads, on: client)
        for round in 1..<8 {
            #expect(try fields(of: heads, on: client, from: UInt32(round * 100 + 1)) == first)
        }
        #expect(Set(first).count == heads.count)
    }

    @Test func `mixed heads on one connection keep their fields`() throws {
        let heads = (0..<6).map { index in
            head(status: 200, length: index, [("x-number", "\(index)"), ("content-type", "text/plain")])
        }
        let order = (0..<60).map { ($0 * 7 + $0 / 5) % heads.count }
        let found = try fields(of: order.map { (heads[$0], .get, Self.day) })
        for (position, index) in order.enumerated() {
            #expect(found[position].contains("x-number: \(index)"))
            #expect(found[position].contains("content-length: \(index)"))
        }
    }

    @Test func `a table that the client makes smaller makes what was kept wrong`() throws {
        let one = head(status: 200, length: 5, [("content-type", "text/plain"), ("x-test", "one")])
        let found = try fields(
            of: (0..<12).map { _ in (one, .get, Self.day) }, resize: [4: 0, 8: 4096, 9: 64])
        #expect(Set(found).count == 1)
    }
}
