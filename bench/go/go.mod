module gortbench

go 1.21
