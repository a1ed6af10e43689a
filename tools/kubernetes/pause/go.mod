module github.com/podlane/podlane/tools/kubernetes/pause

go 1.26
