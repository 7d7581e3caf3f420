import ChimeraBytes
import ChimeraHTTPCore
import Testing

@Suite struct `Accept` {
    @Test(
        arguments: [
            ([], 0), (["*/*"], 0), (["text/*"], 0), (["text/event-stream"], 1000),
            (["TEXT/Event-Stream"], 1000),
            (["text/html, text/event-stream;q=0.5"], 500), (["text/event-stream;q=0"], 0),
            (["text/event-stream;charset=utf-8;q=0.2"], 200), (["text/event-stream;q=x"], 0),
            (["text/html", "text/event-stream;q=0.3, x/events;q=0.4"], 400), (["x/events"], 1000),
            (["text/event-stream2"], 0), (["\"text/event-stream\""], 0),
        ] as [([String], UInt16)])
    func `a type has the greatest weight that either of its names has`(_ lines: [String], _ weight: UInt16) {
        let head = RequestHead()
        for line in lines { head.add(.accept, Array(line.utf8).span) }
        #expect(head.acceptedWeight(of: "text/event-stream", or: "x/events").thousandths == weight)
    }
}
