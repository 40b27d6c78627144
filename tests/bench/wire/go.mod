module toucan.test/wire

go 1.24
