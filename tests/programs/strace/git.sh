# A repository from init to clone.
git init -q repo
cd repo
echo a >a
git add a
git -c user.name=x -c user.email=x@y commit -qm m
git log
git status
git clone -q . ../clone
