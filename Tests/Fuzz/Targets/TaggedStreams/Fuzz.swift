import FuzzProperties

/// What libFuzzer calls with each input (LLVMFuzzerTestOneInput); 0 for one that is worth keeping.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Property.taggedStreams.check(start, count)
}
