internal import ChimeraBytes
package import ChimeraEventLoop

/// The forms in which metrics are asked for.
package enum ExpositionFormat: Sendable {
    /// Prometheus' text format, version 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.0.
    case openMetrics

    /// The value of Content-Type.
    package var contentType: StaticString {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}

/// Writes metrics family by family, each with its help and type, as Prometheus reads them.
package struct ExpositionWriter {
    private let format: ExpositionFormat
    private let out = ByteBuffer(capacity: 64 * 1024)
    private var name = ""

    package init(_ format: ExpositionFormat) { self.format = format }

    /// Begins a family; its samples follow.
    package mutating func begin(_ family: MetricFamily) {
        name = family.name
        // OpenMetrics names a counter's family without the suffix that its samples have.
        let title = family.kind == .counter && format == .openMetrics ? String(name.dropLast(6)) : name
        out.append(string: "# HELP \(title) \(family.help)\n# TYPE \(title) \(family.kind.rawValue)\n")
    }

    /// A sample of a counter or a gauge.
    ///
    /// - Parameter labels: names and values, in the order in which the family has them.
    package func sample(_ value: UInt64, _ labels: [(StaticString, String)] = []) {
        head("", labels, nil)
        append(value)
        out.append("\n")
    }

    /// A sample in seconds.
    package func sample(nanoseconds: UInt64, _ labels: [(StaticString, String)] = []) {
        head("", labels, nil)
        append(seconds: nanoseconds)
        out.append("\n")
    }

    /// The samples of a histogram.
    package func sample(
        _ figures: HistogramFigures, _ scale: HistogramScale, _ labels: [(StaticString, String)]
    ) {
        var sum: UInt64 = 0
        for (index, count) in figures.buckets.enumerated() {
            sum &+= count
            let bound = index < HistogramScale.boundsCount ? UInt64(scale.bounds[index]) : nil
            head("_bucket", labels, .some(bound))
            append(sum)
            out.append("\n")
        }
        head("_sum", labels, nil)
        append(seconds: figures.sumNanoseconds)
        out.append("\n")
        head("_count", labels, nil)
        append(sum)
        out.append("\n")
    }

    /// Ends the page and gives it.
    package func finish() -> [UInt8] {
        if format == .openMetrics { out.append("# EOF\n") }
        return Array(out.pending)
    }

    // MARK: Parts

    /// Name and labels. `bound` is nil for no `le`, and holds nil for the bucket without a bound.
    private func head(_ suffix: StaticString, _ labels: [(StaticString, String)], _ bound: UInt64??) {
        out.append(string: name)
        out.append(suffix)
        guard !labels.isEmpty || bound != nil else { return out.append(" ") }
        var separator: StaticString = "{"
        for (label, value) in labels {
            out.append(separator)
            out.append(label)
            out.append("=\"")
            append(escaped: value)
            out.append("\"")
            separator = ","
        }
        if let bound {
            out.append(separator)
            out.append("le=\"")
            if let bound { append(seconds: bound, isFloat: true) } else { out.append("+Inf") }
            out.append("\"")
        }
        out.append("} ")
    }

    /// A label's value: a backslash, a quote and a line end are escaped.
    private func append(escaped value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): out.append("\\\\")
            case UInt8(ascii: "\""): out.append("\\\"")
            case UInt8(ascii: "\n"): out.append("\\n")
            default: out.append(byte)
            }
        }
    }

    private func append(_ value: UInt64) { out.append(decimal: Int(clamping: value)) }

    /// Nanoseconds as seconds with all their digits and no zeros behind them.
    ///
    /// - Parameter isFloat: whole seconds have a zero behind the point, as OpenMetrics asks of a bound.
    private func append(seconds nanoseconds: UInt64, isFloat: Bool = false) {
        append(nanoseconds / 1_000_000_000)
        var rest = nanoseconds % 1_000_000_000
        if rest == 0 {
            if isFloat { out.append(".0") }
            return
        }
        out.append(".")
        var unit: UInt64 = 100_000_000
        while rest > 0 {
            out.append(UInt8(48 + rest / unit))
            rest %= unit
            unit /= 10
        }
    }
}
