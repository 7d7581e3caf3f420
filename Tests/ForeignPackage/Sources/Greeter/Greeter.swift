import Chimera
import HTTPTypes

/// Greets who asks, and sends back what it is sent.
struct Greeter: Handler {
    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        guard request.method == .post else {
            var head = HTTPResponse(status: .ok)
            head.headerFields[.contentType] = "text/plain; charset=utf-8"
            return try await response.send(head, content: "Hello, \(context.peer)\n")
        }
        var body = body
        var writer = try await response.send(HTTPResponse(status: .ok))
        while let bytes = try await body.read() {
            try await writer.write(bytes)
        }
        try await writer.finish(trailers: body.trailers)
    }
}

@main
struct Main {
    static func main() async throws {
        let address = CommandLine.arguments.dropFirst().first ?? "127.0.0.1:8080"
        let gateway = try Gateway(listening: [address], directives: "limit body 10MB", handler: Greeter())
        try await gateway.run()
    }
}
