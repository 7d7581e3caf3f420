import Testing

/// The inputs that the fuzzer starts from, and those that once broke something.
@Suite struct `Kept inputs` {
    private static let inputs = Property.allCases.flatMap {
        KeptInput.all("Corpus", of: $0) + KeptInput.all("Regressions", of: $0)
    }

    @Test(arguments: inputs)
    func `what must hold of any bytes holds of a kept input`(_ input: KeptInput) {
        #expect(!input.bytes.isEmpty)
        #expect(input.property.failure(of: input.bytes) == nil)
    }

    @Test(arguments: Property.allCases)
    func `the fuzzer has something to start from`(_ property: Property) {
        #expect(KeptInput.all("Corpus", of: property).count >= 10)
    }

    @Test(arguments: ["Corpus", "Regressions"])
    func `a folder of inputs belongs to a property`(_ kind: String) {
        let folders = KeptInput.folders(kind)
        #expect(!folders.isEmpty)
        #expect(Set(folders).isSubset(of: Property.allCases.map(\.rawValue)))
    }
}
