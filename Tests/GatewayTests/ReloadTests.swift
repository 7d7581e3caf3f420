import ChimeraBytes
import ChimeraEventLoop
import Testing

@testable import Chimera

/// What a reload does to listeners and to the connections that they accepted.
@Suite(.timeLimit(.minutes(2))) struct ReloadTests {
    private static func gateway(_ configuration: String) throws -> Gateway {
        let gateway = try Gateway(configuration: "workers 2\nlog access off\n" + configuration)
        try gateway.start()
        return gateway
    }

    private static func reload(_ gateway: Gateway, _ configuration: String) throws {
        try gateway.reload(EmbeddedConfiguration.load("workers 2\nlog access off\n" + configuration))
    }

    private static func stop(_ gateway: Gateway) {
        gateway.drain(deadlineMilliseconds: 5_000)
        gateway.waitUntilStopped()
    }

    private static func ask(_ client: RawClient) throws -> String {
        try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let response = try client.response()
        return response.status == 200 ? response.text : "\(response.status)"
    }

    /// Asks until the answer is that, since workers take up a reload one after the other.
    private static func ask(_ client: RawClient, until expected: String) throws -> String {
        var answer = ""
        for _ in 0..<10_000 {
            answer = try ask(client)
            if answer == expected { break }
        }
        return answer
    }

    /// The same with a new connection each time; one may meet a socket at the moment in which it closes.
    private static func ask(anew address: String, until expected: String) throws -> String {
        var answer = ""
        for _ in 0..<1_000 {
            do {
                answer = try ask(try RawClient(address))
                if answer == expected { break }
            } catch {
                answer = "\(error)"
            }
        }
        return answer
    }

    private static func address(of port: UInt16) -> String { "127.0.0.1:\(port)" }

    private static func port(_ gateway: Gateway, _ index: Int = 0) throws -> UInt16 {
        let text = gateway.listeningAddresses[index].split(separator: ":").last
        return try #require(text.flatMap { UInt16($0) })
    }

    @Test func `a listener that gets a name keeps its sockets and its connections`() async throws {
        let answers = try await blocking {
            let gateway = try Self.gateway("listen 127.0.0.1:0\nsite * { respond 200 plain }")
            let address = Self.address(of: try Self.port(gateway))
            let client = try RawClient(address)
            let before = try Self.ask(client)
            try Self.reload(
                gateway,
                """
                listen 127.0.0.1:0 name=inner
                site * { on inner ; respond 200 inner }
                site * { respond 200 plain }
                """)
            let after = try Self.ask(client, until: "inner")
            let fresh = try Self.ask(try RawClient(address), until: "inner")
            Self.stop(gateway)
            return [before, after, fresh]
        }
        #expect(answers == ["plain", "inner", "inner"])
    }

    @Test func `a listener gives way to one of the same port for all addresses, and back`() async throws {
        let answers = try await blocking {
            let gateway = try Self.gateway("listen 127.0.0.1:0\nsite * { respond 200 one }")
            let port = try Self.port(gateway)
            let address = Self.address(of: port)
            // Names the port, which the first line did not.
            try Self.reload(gateway, "listen 127.0.0.1:\(port)\nsite * { respond 200 two }")
            let two = try Self.ask(anew: address, until: "two")
            try Self.reload(gateway, "listen \(port)\nsite * { respond 200 three }")
            let three = try Self.ask(anew: address, until: "three")
            try Self.reload(gateway, "listen 127.0.0.1:\(port)\nsite * { respond 200 four }")
            let four = try Self.ask(anew: address, until: "four")
            let listening = gateway.listeningAddresses
            Self.stop(gateway)
            return [two, three, four] + (listening == [address] ? [] : listening)
        }
        #expect(answers == ["two", "three", "four"])
    }

    /// The workers learn of both changes one after the other, long after the sockets were asked for again.
    @Test func `a listener that goes and comes back at once takes connections`() async throws {
        let answers = try await blocking {
            let gateway = try Self.gateway("listen 127.0.0.1:0\nsite * { respond 200 one }")
            let free = try Sockets.listen(.ip(IPAddress(v4: 0x7F00_0001), port: 0))
            let port = Sockets.localAddress(of: free).port
            FileDescriptors.close(free)
            let line = "listen 127.0.0.1:\(port)"
            var answers: Set<String> = []
            for _ in 0..<5 {
                for lines in [line, "", line] {
                    try Self.reload(gateway, "listen 127.0.0.1:0\n\(lines)\nsite * { respond 200 one }")
                }
                // The kernel spreads them over the workers.
                for _ in 0..<8 { answers.insert(try Self.ask(RawClient(Self.address(of: port)))) }
            }
            Self.stop(gateway)
            return answers
        }
        #expect(answers == ["one"])
    }

    @Test func `a listener that cannot be bound changes nothing`() async throws {
        let taken = try Sockets.listen(.ip(IPAddress(v4: 0x7F00_0001), port: 0), sharesPort: false)
        defer { FileDescriptors.close(taken) }
        let takenPort = Sockets.localAddress(of: taken).port
        let (error, answer, listening) = try await blocking {
            let gateway = try Self.gateway("listen 127.0.0.1:0\nsite * { respond 200 old }")
            let address = Self.address(of: try Self.port(gateway))
            var failure = "none"
            do {
                try Self.reload(
                    gateway,
                    "listen 127.0.0.1:0\nlisten 127.0.0.1:\(takenPort)\nsite * { respond 200 new }")
            } catch {
                failure = "\(error)"
            }
            let answer = try Self.ask(try RawClient(address))
            let listening = gateway.listeningAddresses == [address]
            Self.stop(gateway)
            return (failure, answer, listening)
        }
        #expect(error.contains("cannot listen on 127.0.0.1:\(takenPort)"))
        #expect(answer == "old")
        #expect(listening)
    }

    /// Listeners have numbers by their names, which are others after a reload.
    @Test func `a connection of a listener that is gone never reaches the sites of another`() async throws {
        let answers = try await blocking {
            let gateway = try Self.gateway(
                """
                listen 127.0.0.1:0 name=first
                listen unix:/tmp/chimera-reload-\(Self.self)-\(UInt64.random(in: 0 ... .max)).sock name=first
                site * { on first ; respond 200 first }
                """)
            let client = try RawClient(Self.address(of: try Self.port(gateway)))
            let before = try Self.ask(client)
            let unix = try #require(gateway.listeningAddresses.last)
            try Self.reload(
                gateway, "listen \(unix) name=first\nsite * { on first ; respond 200 still }")
            let still = try Self.ask(client, until: "still")
            try Self.reload(
                gateway, "listen \(unix) name=second\nsite * { on second ; respond 200 second }")
            let after = try Self.ask(client, until: "421")
            Self.stop(gateway)
            return [before, still, after]
        }
        #expect(answers == ["first", "still", "421"])
    }
}
