internal import ChimeraBytes

extension RequestHead {
    /// The greatest weight that `Accept` gives to a media type, or to another name of it (RFC 9110 §12.5.1); zero where it
    /// names neither, as a range such as `*/*` does not.
    package func acceptedWeight(of type: StaticString, or other: StaticString? = nil) -> QualityValue {
        guard let first = index(of: .accept) else { return .zero }
        var greatest = QualityValue.zero
        for index in first..<lineCount {
            let line = line(at: index)
            guard line.isPresent, line.name == .accept else { continue }
            let value = self[line.value]
            var elements = ListElements(value)
            while let range = elements.next() {
                let element = value.extracting(range)
                let end = element.firstIndex(of: UInt8(ascii: ";")) ?? element.count
                let name = element.extracting(0..<end).trimmingWhitespace()
                guard name.equalsIgnoringCase(type) || other.map({ name.equalsIgnoringCase($0) }) == true,
                    let weight = QualityValue(parametersOf: element, from: end)
                else { continue }
                greatest = max(greatest, weight)
            }
        }
        return greatest
    }
}
