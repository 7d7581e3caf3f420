internal import ChimeraBytes
internal import ChimeraHTTPCore

extension GatewayWorker {
    /// Answers with the sample page, or with its counters.
    func answerWelcome(_ transaction: Transaction) -> AnswerBody {
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        guard request.method == .get || request.method == .head else {
            response.reset(status: 405)
            response.add(.allow, "GET, HEAD")
            return dispatcher.finishRefusal(context, request, response)
        }
        response.reset()
        let asksForCounters = context.hasQuery && WelcomePage.asksForCounters(query: request[context.query])
        var content: [UInt8] = []
        if asksForCounters {
            content = shared.welcome.counts()
            response.add(.contentType, WelcomePage.countersContentType)
        } else {
            // What a proxy of this machine passes on did not come from this machine.
            let isLocal =
                WelcomePage.mayShowConfiguration(client: context.client, host: context[context.host])
                && !request.contains(.xForwardedFor) && !request.contains(.forwarded)
            let usual: UInt16 = context.isSecure ? 443 : 80
            content = shared.welcome.page(
                port: context.port == usual || context.port == 0 ? nil : context.port,
                isSecure: context.isSecure, showsConfiguration: isLocal)
            response.add(.contentType, WelcomePage.contentType)
        }
        response.add(.cacheControl, WelcomePage.cacheControl)
        let policy = Array(WelcomePage.contentSecurityPolicy.utf8)
        response.add(.contentSecurityPolicy, policy.span)
        response.body = .known(content.count)
        dispatcher.finishResponse(context, request, response)
        let blob = Blob(content.span)
        return .bytes(blob)
    }
}
