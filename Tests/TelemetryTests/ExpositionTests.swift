import ChimeraEventLoop
import Glibc
import Testing

@testable import ChimeraTelemetry

@Suite struct ExpositionTests {
    private func text(_ format: ExpositionFormat = .prometheus, _ body: (inout ExpositionWriter) -> Void)
        -> String
    {
        var writer = ExpositionWriter(format)
        body(&writer)
        return String(decoding: writer.finish(), as: UTF8.self)
    }

    @Test func `a counter has its help, its type and its samples`() {
        let page = text { page in
            page.begin(.limitHits)
            page.sample(3, [("limit", "requests")])
            page.sample(UInt64.max, [("limit", "connections")])
        }
        #expect(
            page == """
                # HELP chimera_limit_hits_total How often a bound was reached, by its name.
                # TYPE chimera_limit_hits_total counter
                chimera_limit_hits_total{limit="requests"} 3
                chimera_limit_hits_total{limit="connections"} 9223372036854775807

                """)
    }

    @Test func `OpenMetrics names the family without its suffix and ends the page`() {
        let page = text(.openMetrics) { page in
            page.begin(.sent)
            page.sample(7)
        }
        #expect(
            page == """
                # HELP chimera_sent_bytes Bytes of answers' bodies.
                # TYPE chimera_sent_bytes counter
                chimera_sent_bytes_total 7
                # EOF

                """)
    }

    @Test func `a label's value is escaped`() {
        let page = text { page in
            page.begin(.siteRequests)
            page.sample(1, [("tenant", "a\\b\"c\nd"), ("site", "é{}")])
        }
        #expect(page.contains(#"{tenant="a\\b\"c\nd",site="é{}"} 1"#))
    }

    @Test(
        arguments: [
            (0, "0"), (1, "0.000000001"), (1_000_000_000, "1"), (1_500_000_000, "1.5"),
            (12_000_340_000, "12.00034"),
        ] as [(UInt64, String)])
    func `nanoseconds are seconds with all their digits`(nanoseconds: UInt64, expected: String) {
        let page = text { page in
            page.begin(.processCPU)
            page.sample(nanoseconds: nanoseconds)
        }
        #expect(page.hasSuffix("process_cpu_seconds_total \(expected)\n"))
    }

    @Test func `a histogram's buckets add up`() {
        var cells = [UInt64](repeating: 0, count: HistogramScale.cells)
        (cells[0], cells[2], cells[14], cells[15]) = (5, 2, 1, 2_500_000_000)
        let page = text { page in
            page.begin(.upstreamAnswer)
            page.sample(HistogramFigures(cells), .latency, [("endpoint", "a:1")])
        }
        let lines = page.split(separator: "\n").dropFirst(2)
        #expect(lines.count == 17)
        #expect(lines.first == #"chimera_upstream_answer_seconds_bucket{endpoint="a:1",le="0.00025"} 5"#)
        #expect(lines.contains(#"chimera_upstream_answer_seconds_bucket{endpoint="a:1",le="0.001"} 7"#))
        #expect(lines.contains(#"chimera_upstream_answer_seconds_bucket{endpoint="a:1",le="1.0"} 7"#))
        #expect(lines.contains(#"chimera_upstream_answer_seconds_bucket{endpoint="a:1",le="+Inf"} 8"#))
        #expect(lines.contains(#"chimera_upstream_answer_seconds_sum{endpoint="a:1"} 2.5"#))
        #expect(lines.last == #"chimera_upstream_answer_seconds_count{endpoint="a:1"} 8"#)
    }

    @Test func `names are those of Prometheus' conventions, each once`() {
        let names = MetricFamily.all.map(\.name)
        #expect(Set(names).count == names.count)
        for family in MetricFamily.all {
            #expect(family.name.hasPrefix("chimera_") || family.name.hasPrefix("process_"))
            #expect(family.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" })
            #expect((family.kind == .counter) == family.name.hasSuffix("_total"), "\(family.name)")
            #expect(family.help.hasSuffix(".") && !family.help.contains("\n"))
        }
    }

    @Test func `docs slash metrics is what make docs writes`() throws {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let file = try #require(fopen("\(root)/docs/metrics.md", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        #expect(String(decoding: bytes[..<count], as: UTF8.self) == MetricFamily.markdown())
    }
}
