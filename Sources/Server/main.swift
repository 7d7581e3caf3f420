import Chimera
import Glibc
try temporaryMain(port: UInt16(CommandLine.arguments[1])!)
while true { sleep(100) }
