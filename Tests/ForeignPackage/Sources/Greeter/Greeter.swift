import Chimera
import HTTPTypes

/// Greets who asks, sends back what it is sent, and does so in a protocol of its own for who asks for `echo`.
struct Greeter: Handler {
    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        var body = body
        if context.upgrade == "echo" {
            var writer = try await response.acceptUpgrade()
            while let bytes = try await body.read() { try await writer.write(bytes) }
            return try await writer.finish()
        }
        guard request.method == .post else {
            var head = HTTPResponse(status: .ok)
            head.headerFields[.contentType] = "text/plain; charset=utf-8"
            return try await response.send(
                head, content: "Hello, \(context.peer)\(context.tls.map { " over \($0.version)" } ?? "")\n")
        }
        var writer = try await response.send(HTTPResponse(status: .ok))
        while let bytes = try await body.read() { try await writer.write(bytes) }
        try await writer.finish(trailers: body.trailers)
    }
}

@main
struct Main {
    /// Listens on the addresses of the command line: `127.0.0.1:8080`, `"127.0.0.1:8443 tls"`.
    static func main() async throws {
        let words = Array(CommandLine.arguments.dropFirst())
        let addresses = words.isEmpty ? ["127.0.0.1:8080"] : words
        let isSecure = addresses.contains { $0.hasSuffix(" tls") }
        let gateway = try Gateway(
            listening: addresses, tls: isSecure ? "internal redirect=off" : nil,
            directives: "limit body 10MB", handler: Greeter())
        try await gateway.run()
    }
}
