import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// What a field block should be, as slowly as can be: a list of lines.
private struct BlockModel {
    var lines: [(name: String, value: String)] = []

    mutating func add(_ name: String, _ value: String) { lines.append((name, value)) }
    mutating func remove(_ name: String) { lines.removeAll { $0.name.lowercased() == name.lowercased() } }
    func first(_ name: String) -> String? { lines.first { $0.name.lowercased() == name.lowercased() }?.value }
    func count(_ name: String) -> Int { lines.filter { $0.name.lowercased() == name.lowercased() }.count }
}

private func text(_ span: Span<UInt8>) -> String { String(decoding: [UInt8](copying: span), as: UTF8.self) }

private func lines(_ block: FieldBlock) -> [String] {
    (0..<block.lineCount).compactMap { index in
        let line = block.line(at: index)
        return line.isPresent ? text(block.name(of: line)) + ": " + text(block[line.value]) : nil
    }
}

private func add(_ name: String, _ value: String, to block: FieldBlock) {
    let (nameBytes, valueBytes) = (Array(name.utf8), Array(value.utf8))
    block.add(name: nameBytes.span, value: valueBytes.span)
}

private func value(_ block: FieldBlock, named name: String) -> String? {
    let bytes = Array(name.utf8)
    guard let index = block.index(ofName: bytes.span) else { return nil }
    return text(block[block.line(at: index).value])
}

private func value(_ block: FieldBlock, of name: FieldName) -> String? {
    if let value = block[name] { return text(value) }
    return nil
}

private func remove(_ name: String, from block: FieldBlock) {
    let bytes = Array(name.utf8)
    block.remove(name: bytes.span)
}

/// RFC 9110 §5: a field section.
@Suite struct `Field blocks` {
    @Test func `a new block is empty`() {
        let block = FieldBlock()
        #expect(block.lineCount == 0)
        #expect(block.byteCount == 0)
        #expect(!block.contains(.host))
        #expect(block.index(of: .host) == nil)
        #expect(block.occurrences(of: .host) == 0)
        #expect(value(block, of: .host) == nil)
    }

    @Test func `well-known and other names are found by their bytes in any case`() {
        let block = FieldBlock()
        add("HOST", "a", to: block)
        add("X-Own", "b", to: block)
        block.add(.etag, "\"c\"")
        #expect(block.contains(.host))
        #expect(value(block, named: "host") == "a")
        #expect(value(block, named: "x-OWN") == "b")
        #expect(value(block, named: "ETAG") == "\"c\"")
        #expect(value(block, named: "x-owner") == nil)
        #expect(lines(block) == ["HOST: a", "X-Own: b", "ETag: \"c\""])
    }

    @Test(arguments: [
        0, 1, 9, 10, 99, 100, 12_345, 999_999_999_999_999_999, 1_000_000_000_000_000_000, Int.max,
    ])
    func `a decimal value is written in digits`(_ number: Int) {
        let block = FieldBlock(byteCapacity: 1, lineCapacity: 1)
        block.add(.contentLength, decimal: number)
        #expect(lines(block) == ["Content-Length: \(number)"])
    }

    @Test func `removing takes every line of a name and no other`() {
        let block = FieldBlock()
        for (name, value) in [("Via", "1"), ("X-A", "2"), ("via", "3"), ("x-a", "4"), ("X-B", "5")] {
            add(name, value, to: block)
        }
        #expect(block.occurrences(of: .via) == 2)
        block.remove(.via)
        #expect(!block.contains(.via))
        #expect(block.occurrences(of: .via) == 0)
        remove("X-a", from: block)
        #expect(lines(block) == ["X-B: 5"])
        #expect(block.lineCount == 5)
        block.remove(.via)
        add("VIA", "6", to: block)
        #expect(value(block, of: .via) == "6")
        #expect(block.index(of: .via) == 5)
    }

    @Test func `a block that gives memory back is as it was, and grows again`() {
        let block = FieldBlock()
        block.trim()
        #expect(lines(block).isEmpty)
        for number in 0..<3 {
            add("X-\(number)", "value", to: block)
            add("Host", "a\(number)", to: block)
            block.trim()
        }
        #expect(
            lines(block) == ["X-0: value", "Host: a0", "X-1: value", "Host: a1", "X-2: value", "Host: a2"])
        #expect(value(block, of: .host) == "a0" && block.occurrences(of: .host) == 3)
    }

    @Test func `setting leaves one line`() {
        let block = FieldBlock()
        add("Server", "a", to: block)
        add("server", "b", to: block)
        let value = Array("c".utf8)
        block.set(.server, value.span)
        block.set(.age, value.span)
        #expect(lines(block) == ["Server: c", "Age: c"])
    }

    @Test func `an emptied block holds nothing of what it held`() {
        let block = FieldBlock(byteCapacity: 8, lineCapacity: 1)
        for round in 0..<3 {
            for name in ["Host", "X-Own", "Via"] { add(name, "\(round)", to: block) }
            #expect(lines(block) == ["Host: \(round)", "X-Own: \(round)", "Via: \(round)"])
            block.removeAll()
            #expect(block.lineCount == 0)
            #expect(block.byteCount == 0)
            #expect(value(block, named: "host") == nil)
            #expect(value(block, named: "x-own") == nil)
        }
    }

    @Test(arguments: [0, 1, 7, 1024])
    func `a block grows from any size`(_ capacity: Int) {
        let block = FieldBlock(byteCapacity: capacity, lineCapacity: capacity)
        var expected: [String] = []
        for index in 0..<300 {
            let name = index % 3 == 0 ? "Accept" : "X-\(index)"
            let value = String(repeating: "v", count: index % 50) + "\(index)"
            add(name, value, to: block)
            expected.append("\(name): \(value)")
        }
        #expect(lines(block) == expected)
        #expect(block.occurrences(of: .accept) == 100)
    }

    /// The span that is stored is memory that growing frees.
    @Test func `its own bytes may be stored while it grows`() {
        let block = FieldBlock(byteCapacity: 16, lineCapacity: 1)
        var slice = block.store(Array("0123456789".utf8).span)
        var expected = "0123456789"
        for _ in 0..<12 {
            let whole = block.store(block[slice])
            #expect(text(block[whole]) == expected)
            slice = Slice(
                start: Int(whole.start) - Int(slice.count), count: Int(slice.count) + Int(whole.count))
            expected += expected
            #expect(text(block[slice]) == expected)
        }
    }

    @Test func `a field of its own bytes may be added while it grows`() {
        for capacity in 20..<60 {
            let block = FieldBlock(byteCapacity: capacity, lineCapacity: 1)
            let name = block.store(Array("X-Some-Name".utf8).span)
            let value = block.store(Array("a value".utf8).span)
            for _ in 0..<4 { block.add(name: block[name], value: block[value]) }
            block.add(.host, block[value])
            block.set(.host, block[value])
            #expect(lines(block) == Array(repeating: "X-Some-Name: a value", count: 4) + ["Host: a value"])
        }
    }

    @Test func `an adopted head keeps the slices of its lines`() {
        let head = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let block = FieldBlock(byteCapacity: 4, lineCapacity: 1)
        block.add(
            FieldLine(name: .host, nameBytes: Slice(start: 16, count: 4), value: Slice(start: 22, count: 1)))
        block.adopt(head.span)
        #expect(lines(block) == ["Host: a"])
    }

    @Test func `a copy has the lines that are present, and slices keep their meaning`() {
        let block = FieldBlock()
        let kept = block.store(Array("kept".utf8).span)
        add("Host", "a", to: block)
        add("X-Own", "b", to: block)
        add("Via", "c", to: block)
        remove("x-own", from: block)
        let copy = FieldBlock(byteCapacity: 1, lineCapacity: 1)
        add("Old", "gone", to: copy)
        copy.copyFields(of: block)
        #expect(lines(copy) == ["Host: a", "Via: c"])
        #expect(text(copy[kept]) == "kept")
        #expect(copy.index(of: .via) == 1)
        block.removeAll()
        add("Host", "z", to: block)
        #expect(value(copy, of: .host) == "a")
    }

    @Test func `its lines are written as they go on the wire`() {
        let block = FieldBlock()
        #expect(written(block) == "")
        add("content-type", "text/html", to: block)
        add("X-Own", "", to: block)
        block.add(.age, decimal: 0)
        add("Content-Security-Policy", "x", to: block)
        add("Via", "gone", to: block)
        block.remove(.via)
        #expect(
            written(block) == "Content-Type: text/html\r\nX-Own: \r\nAge: 0\r\nContent-Security-Policy: x\r\n"
        )
    }

    private func written(_ block: FieldBlock) -> String {
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: block.linesBytesMax)
        defer { room.deallocate() }
        let count = block.writeLines(to: room)
        #expect(count <= block.linesBytesMax)
        return String(decoding: UnsafeBufferPointer(start: room, count: count), as: UTF8.self)
    }

    /// Random operations, each checked against a list.
    @Test(arguments: 0..<20)
    func `a block does what a list of lines does`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let names = [
            "Host", "host", "Via", "VIA", "X-Own", "x-own", "X-Other", "Content-Length", "Cookie", "a",
        ]
        let block = FieldBlock(byteCapacity: 1, lineCapacity: 1)
        var model = BlockModel()
        for step in 0..<200 {
            let name = names.randomElement(using: &generator) ?? "a"
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                let value =
                    String(repeating: "v", count: Int.random(in: 0...30, using: &generator)) + "\(step)"
                add(name, value, to: block)
                model.add(name, value)
            case 6..<8:
                remove(name, from: block)
                model.remove(name)
            case 8:
                let bytes = Array("\(step)".utf8)
                block.set(.via, bytes.span)
                model.remove("via")
                model.add("Via", "\(step)")
            default:
                if step % 50 == 0 {
                    block.removeAll()
                    model.lines = []
                }
            }
            #expect(
                lines(block) == model.lines.map { "\($0.name): \($0.value)" }, "seed \(seed), step \(step)")
            #expect(value(block, named: name) == model.first(name))
            #expect(block.occurrences(of: .host) == model.count("host"))
            #expect(block.contains(.host) == (model.count("host") > 0))
        }
    }
}

@Suite struct `Heads` {
    private func request() -> RequestHead {
        let head = RequestHead()
        let bytes = Array("PUT http://h/p?q HTTP/1.0\r\nUpgrade: x\r\n\r\n".utf8)
        head.add(
            FieldLine(
                name: .upgrade, nameBytes: Slice(start: 27, count: 7), value: Slice(start: 36, count: 1)))
        head.adopt(bytes.span)
        head.method = .put
        head.methodBytes = Slice(start: 0, count: 3)
        head.form = .absolute
        head.target = Slice(start: 4, count: 12)
        head.pathAndQuery = Slice(start: 12, count: 4)
        head.authority = Slice(start: 11, count: 1)
        head.body = .known(5)
        head.expectsContinue = true
        head.upgrade = Slice(start: 36, count: 1)
        head.scheme = Slice(start: 4, count: 4)
        head.minorVersion = 0
        return head
    }

    @Test func `a copied request is the same request`() {
        let copy = RequestHead()
        add("Old", "gone", to: copy)
        copy.copy(request())
        #expect(copy.method == .put)
        #expect(text(copy[copy.methodBytes]) == "PUT")
        #expect(copy.form == .absolute)
        #expect(text(copy[copy.target]) == "http://h/p?q")
        #expect(text(copy[copy.pathAndQuery]) == "/p?q")
        #expect(text(copy[copy.authority]) == "h")
        #expect(copy.body == .known(5))
        #expect(copy.expectsContinue)
        #expect(text(copy[copy.upgrade]) == "x")
        #expect(text(copy[copy.scheme]) == "http")
        #expect(copy.minorVersion == 0)
        #expect(lines(copy) == ["Upgrade: x"])
    }

    @Test func `a request that was reset is like a new one`() {
        let head = request()
        head.reset()
        let new = RequestHead()
        #expect(head.method == new.method)
        #expect(head.form == new.form)
        #expect(
            [head.methodBytes, head.target, head.pathAndQuery, head.authority, head.upgrade]
                == [Slice](repeating: .empty, count: 5))
        #expect(head.body == .none)
        #expect(!head.expectsContinue)
        #expect(head.scheme == .empty)
        #expect(head.minorVersion == 1)
        #expect(head.lineCount == 0)
        #expect(!head.contains(.upgrade))
    }

    @Test func `a response that was reset is like a new one`() {
        let head = ResponseHead()
        head.body = .unknown
        head.minorVersion = 0
        add("Via", "x", to: head)
        head.reset(status: 404)
        #expect(head.status == 404)
        #expect(head.body == .none)
        #expect(head.minorVersion == 1)
        #expect(head.lineCount == 0)
        head.reset()
        #expect(head.status == 200)
    }

    /// RFC 9110 §6.4.1.
    @Test(
        arguments: [
            (100, true), (101, true), (199, true), (200, false), (204, true), (205, false), (304, true),
            (404, false),
        ])
    func `some statuses never have content`(_ status: Int, _ forbids: Bool) {
        let head = ResponseHead()
        head.reset(status: status)
        #expect(head.forbidsContent == forbids)
    }
}

/// RFC 9110 §7.6.1: what concerns one connection alone is not passed on.
@Suite struct `Hop-by-hop fields` {
    private func remaining(_ fields: [(String, String)]) -> [String] {
        let block = FieldBlock()
        for (name, value) in fields { add(name, value, to: block) }
        HopByHop.remove(from: block)
        return lines(block)
    }

    @Test func `the usual ones go, whether Connection names them or not`() {
        let fields = [
            ("Connection", "close"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"), ("Upgrade", "x"), ("HTTP2-Settings", "x"), ("Accept", "kept"),
        ]
        #expect(remaining(fields) == ["Accept: kept"])
    }

    @Test func `those that Connection names go, in any case and from any line`() {
        let fields = [
            ("Connection", "x-a, ,ETAG"), ("X-A", "1"), ("ETag", "2"), ("X-B", "3"), ("connection", "X-b"),
            ("x-a", "4"),
            ("X-C", "kept"),
        ]
        #expect(remaining(fields) == ["X-C: kept"])
    }

    @Test func `a sender cannot take off what frames, routes or guards a message`() {
        let fields = [
            ("Host", "a"), ("Content-Length", "5"), ("Cookie", "c"), ("Authorization", "d"),
            ("X-Forwarded-For", "e"),
            ("Cache-Control", "f"), ("Forwarded", "g"),
        ]
        let names = fields.map(\.0).joined(separator: ", ")
        #expect(remaining([("Connection", names)] + fields) == fields.map { "\($0.0): \($0.1)" })
    }
}
