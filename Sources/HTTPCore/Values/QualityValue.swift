internal import ChimeraBytes

/// A weight of RFC 9110 §12.4.2, in thousandths: 0 means "not acceptable", 1000 is the default.
package struct QualityValue: Comparable, Hashable, Sendable {
    /// 0 … 1000.
    package let thousandths: UInt16

    private init(thousandths: UInt16) { self.thousandths = thousandths }

    /// `q=1`.
    package static let one = QualityValue(thousandths: 1000)
    /// `q=0`.
    package static let zero = QualityValue(thousandths: 0)

    /// Reads `0`, `0.5`, `1.000` and the like: at most three decimals, at most 1; nil for anything else.
    package init?(_ text: Span<UInt8>) {
        guard (1...5).contains(text.count), text[0] == UInt8(ascii: "0") || text[0] == UInt8(ascii: "1"),
            text.count == 1 || text[1] == .dot
        else { return nil }
        var value = UInt16(text[0] - UInt8(ascii: "0"))
        for place in 2..<5 {
            var digit: UInt8 = 0
            if place < text.count {
                guard text[place].isDigit else { return nil }
                digit = text[place] - UInt8(ascii: "0")
            }
            value = value * 10 + UInt16(digit)
        }
        guard value <= 1000 else { return nil }
        thousandths = value
    }

    /// The weight among the parameters of a list element: that of `q`, or one where there is none.
    ///
    /// - Returns: nil where `q` is there and is no weight.
    package init?(parametersOf element: Span<UInt8>, from start: Int) {
        var parameters = FieldParameters(element, from: start)
        while let parameter = parameters.next() {
            guard element.extracting(parameter.name).equalsIgnoringCase("q") else { continue }
            guard let value = parameter.value, !parameter.isQuoted else { return nil }
            self.init(element.extracting(value))
            return
        }
        self = .one
    }

    package static func < (left: QualityValue, right: QualityValue) -> Bool {
        left.thousandths < right.thousandths
    }
}
