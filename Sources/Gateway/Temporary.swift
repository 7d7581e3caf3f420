internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraUpstream
nonisolated(unsafe) var tempProxy: Proxy?
nonisolated(unsafe) var keep: GatewayWorker?
nonisolated(unsafe) let fixed = Blob("Hello, world!")
extension GatewayWorker {
    func begin(_ t: Transaction, on c: HTTP1Connection) -> Verdict {
        if let proxy = tempProxy { _ = proxy; t.request.remove(.connection); return .answer(.none) }
        t.response.reset(status: 200)
        t.response.add(.contentType, "text/plain")
        t.response.body = .known(fixed.count)
        return .answer(.bytes(fixed))
    }
    func serve(_ e: any Exchange, _ v: Verdict) async {
        if case .answer(let b) = v { return await (e as! HTTP1Exchange).answer(b) }
        let o = await tempProxy!.serve(e, target: e.request.pathAndQuery, timeouts: UpstreamTimeouts(), client: (e as! HTTP1Exchange).transaction)
        if o != .answered { e.response.reset(status: 502); e.response.body = .none; e.sendHead(); e.finish(trailers: nil) }
    }
    func refuse(_ t: Transaction, _ r: Refusal, on c: HTTP1Connection) -> AnswerBody {
        t.response.reset(status: r.status)
        return .none
    }
    func finished(_ t: Transaction, on c: HTTP1Connection) {}
    func bodyLimit(_ t: Transaction) -> Int { 1 << 40 }
}
public func temporaryMain(port: UInt16) throws {
    let worker = try Worker(index: 0)
    let fd = try Sockets.listen(.ip(IPAddress(v4: 0x7f000001), port: port))
    Thread.start(name: "w0") {
        worker.submit { w in
            let host = GatewayWorker(worker: worker)
            keep = host
            if CommandLine.arguments.count > 2 {
              tempProxy = Proxy([EndpointPool(.address(.ip(IPAddress(v4: 0x7f000001), port: UInt16(CommandLine.arguments[2])!)), on: worker, limits: UpstreamLimits(), resolver: Resolver(pool: BlockingPool()))], on: worker, scratch: host.scratchInput, limits: Limits())
            }
            let l = ListeningSocket(fd, on: w, exhausted: {}) { d, p in host.accept(d, p, ListenerFacts(name: nil, port: 80, isSecure: false)) }
            try! l.resume()
        }
        worker.run()
    }
}
